"""The web studio: look through a store, move a face along emotions, preview a timeline.

It only reads the store, answers on this machine alone, and needs no network.
"""
