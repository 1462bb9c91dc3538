"""Which of MediaPipe's 478 landmarks is what.

"Right" is the person's right: the left of the picture. Loops run once round a part; they may be
filled as polygons.
"""

import numpy as np
from jaxtyping import Int64


def _points(text: str) -> Int64[np.ndarray, " points"]:
    return np.array([int(word) for word in text.split()], np.int64)


LANDMARKS = 478
"""Landmarks of the refined face mesh: 468 of the surface and 5 of each iris."""

OVAL = _points(
    "10 338 297 332 284 251 389 356 454 323 361 288 397 365 379 378 400 377 152 148 176 149 "
    "150 136 172 58 132 93 234 127 162 21 54 103 67 109"
)
"""Outline of the face from the top of the forehead clockwise in the picture."""
LIPS_OUTER = _points("61 146 91 181 84 17 314 405 321 375 291 409 270 269 267 0 37 39 40 185")
LIPS_INNER = _points("78 95 88 178 87 14 317 402 318 324 308 415 310 311 312 13 82 81 80 191")
UPPER_LIP = _points("61 185 40 39 37 0 267 269 270 409 291 308 415 310 311 312 13 82 81 80 191 78")
LOWER_LIP = _points(
    "61 146 91 181 84 17 314 405 321 375 291 308 324 318 402 317 14 87 178 88 95 78"
)
RIGHT_EYE = _points("33 7 163 144 145 153 154 155 133 173 157 158 159 160 161 246")
LEFT_EYE = _points("263 249 390 373 374 380 381 382 362 398 384 385 386 387 388 466")
RIGHT_BROW = _points("46 53 52 65 55 107 66 105 63 70")
LEFT_BROW = _points("276 283 282 295 285 336 296 334 293 300")
NOSE = _points("168 193 122 196 198 49 48 64 98 97 2 326 327 294 278 279 420 419 351 417")

CHIN = 152
FOREHEAD_TOP = 10
RIGHT_EYE_CORNERS = (33, 133)
"""Outer, inner."""
LEFT_EYE_CORNERS = (263, 362)
"""Outer, inner."""
EARS = (127, 234, 356, 454)
"""Where the oval passes the ears."""

_RIGID_MIDDLE = _points("10 151 9 8 168 6 197 195 5 4")
_RIGID_RIGHT = _points(
    "109 67 103 54 108 69 104 68 71 21 162 139 34 127 234 33 133 116 117 118 100 47 114 188 "
    "122 193 245"
)
_RIGID_LEFT = _points(
    "338 297 332 284 337 299 333 298 301 251 389 368 264 356 454 263 362 345 346 347 329 277 "
    "343 412 351 417 465"
)
RIGID = np.concatenate([_RIGID_MIDDLE, _RIGID_RIGHT, _RIGID_LEFT])
"""Forehead, temples, eye corners, nose bridge, cheek bones: what expressions move least.

Their residual after rigid alignment, over clips of seven people, is below 1.2 % of the distance
between the outer eye corners; they lie wide apart, because rotation is measured across the face.
"""
MIRROR_PAIRS = np.stack([_RIGID_RIGHT, _RIGID_LEFT], axis=1)
"""Rigid landmarks of the right side with their twins on the left."""
