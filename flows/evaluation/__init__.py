"""The paper's protocol on what a store held out: pairs, scores, tables, pages, comparisons."""
