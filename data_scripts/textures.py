"""Generate `textures`, the embedded dataset: no download, the same bytes for a seed.

Three categories are crops of photographs that scikit-image ships (training and test crops come
from disjoint parts of the photograph); four are rendered. A scene is a closure over everything
random about one picture, so a defect is the same scene rendered again with a change, and the mask
marks the pixels that the change moved by more than the camera noise.

    python data_scripts/textures.py [--root data] [--seed 0] [--categories grid dots]
"""

import argparse
import hashlib
import json
import os
import shutil
import time
import zlib
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import binary_closing, gaussian_filter
from skimage import data

SIZE = 256
TRAIN, GOOD, PER_KIND = 32, 8, 6
NOISE = 0.012  # standard deviation of the sensor noise
VISIBLE = 0.04  # a pixel that changed by more than this belongs to the mask
SMALLEST, LARGEST = 0.003, 0.08  # area of a defect, as a share of the image
RIM, BORE = 104, 44  # radii of the washer
Y, X = np.indices((SIZE, SIZE), dtype=np.float32) + 0.5


# Shapes and fields
def noise(rng, cell):
    """Smooth random field of about unit variance; `cell` is the size of its features."""
    n = int(SIZE / cell) + 3
    coarse = Image.fromarray(rng.standard_normal((n, n), dtype=np.float32))
    return np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC)) / 0.7


def cover(distance, edge=1.0):
    """Share of a pixel inside a shape, from its signed distance (negative inside)."""
    t = np.clip(0.5 - distance / edge, 0, 1)
    return t * t * (3 - 2 * t)


def blend(image, colour, alpha):
    return image + alpha[..., None] * (colour - image)


def blob(rng, at, radius, rough=0.2):
    """Signed distance to a stretched disc with an irregular border."""
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.45)
    dy, dx = Y - at[0], X - at[1]
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    border = noise(rng, 0.8 * radius) + 0.25 * noise(rng, 0.3 * radius)
    return np.hypot(u / stretch, v * stretch) - radius * (1 + rough * border)


def stroke(rng, at, length, bend=0.0, jag=0.0, angle=None):
    """Signed distance to a random open curve through `at`, and the position -1..1 along it."""
    angle = rng.uniform(0, np.pi) if angle is None else angle
    dy, dx = Y - at[0], X - at[1]
    s, d = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    knots = np.linspace(-length / 2, length / 2, 256)
    phase = rng.uniform(0, 2 * np.pi, 2)
    curve = bend * (np.sin(5 * knots / length + phase[0]) + 0.4 * np.sin(11 * knots / length))
    corners = np.linspace(knots[0], knots[-1], max(int(length / 9), 3))
    curve += jag * np.interp(knots, corners, rng.standard_normal(len(corners)))
    curve -= curve[128]
    slope = np.interp(s, knots, np.gradient(curve, knots))
    across = (d - np.interp(s, knots, curve)) / np.sqrt(1 + slope**2)
    beyond = np.maximum(np.abs(s) - length / 2, 0)
    signed = np.where(across < 0, -1, 1) * np.hypot(across, beyond)
    return signed, np.clip(2 * s / length, -1, 1)


def shifted(field, by):
    """The field moved down and to the right: where its shadow falls."""
    return np.pad(field, ((by, 0), (by, 0)), mode="edge")[:SIZE, :SIZE]


# Defects: (rng, at) -> changes of the scene. `paint` lies on the surface, the rest alters geometry
def scratch(rng, at):
    """A shallow groove: a dark flank and a bright one, thinning out towards its ends."""
    d, t = stroke(rng, at, rng.uniform(60, 110), bend=rng.uniform(2, 8))
    width = rng.uniform(2.2, 3.2) * (1 - 0.6 * t**2)
    depth = rng.uniform(0.2, 0.32)
    profile = depth * (cover(np.abs(d - 0.9) - width / 2) - cover(np.abs(d + 0.9) - width / 2))
    return {"paint": lambda image: image + profile[..., None]}


def crack(rng, at, angle=None, length=(90, 150)):
    """A jagged dark fissure with one branch and a lit lip."""
    angle = rng.uniform(0, np.pi) if angle is None else angle
    length = rng.uniform(*length)
    d, t = stroke(rng, at, length, bend=2, jag=3.0, angle=angle)
    branch, tb = stroke(rng, at, length * 0.5, jag=2.5, angle=angle + rng.choice([-0.7, 0.7]))
    width = rng.uniform(1.3, 2.0)
    dark = cover(np.abs(d) - width * (1 - 0.5 * t**2), 1.5)
    side = cover(np.abs(branch) - 0.8 * width * (1 - 0.5 * tb**2), 1.5) * (tb > 0)
    lip = 0.08 * cover(np.abs(d - width - 1) - 0.8, 1.5)
    dark = rng.uniform(0.6, 0.75) * np.maximum(dark, side)
    return {"paint": lambda image: blend(image, 0.1, dark) + lip[..., None]}


def stain(tint, rng, at, radius=(16, 26)):
    """A liquid that changed the colour: soft irregular border, a slightly stronger rim."""
    d = blob(rng, at, rng.uniform(*radius))
    inside = cover(d, 5) * (0.8 + 0.1 * noise(rng, 12)) + 0.25 * cover(np.abs(d + 3) - 1, 4)
    tint = 1 + rng.uniform(0.85, 1.15) * (np.asarray(tint) - 1)
    return {"paint": lambda image: image * (1 + inside[..., None] * (tint - 1))}


def patch(colour, rng, at, radius=(14, 22), grain=0.05, opacity=0.92):
    """Foreign material over the surface: its own fine relief, lit from the upper left."""
    d = blob(rng, at, rng.uniform(*radius))
    relief = noise(rng, 3) + noise(rng, 9)
    light = grain * (relief - shifted(relief, 2))
    rim = gaussian_filter(cover(d, 6), 2)
    light += 0.5 * (rim - shifted(rim, 3))
    colour = np.asarray(colour) * rng.uniform(0.9, 1.1) + light[..., None]
    return {"paint": lambda image: blend(image, colour, opacity * cover(d, 2.5))}


def thread(colours, rng, at):
    """A fibre lying on top: round shading and a soft shadow."""
    d, _ = stroke(rng, at, rng.uniform(90, 170), bend=rng.uniform(8, 20))
    radius = rng.uniform(1.6, 2.4)
    body = cover(np.abs(d) - radius)
    shadow = 0.35 * gaussian_filter(shifted(body, 3), 1.2)
    light = 0.75 + 0.35 * np.sqrt(np.clip(1 - (d / radius) ** 2, 0, 1)) - 0.1 * d / radius
    colour = np.asarray(colours[rng.integers(len(colours))]) * light[..., None]
    return {"paint": lambda image: blend(blend(image, 0.0, shadow), colour, body)}


def leaf(colours, rng, at):
    """A fallen leaf: pointed outline, bright midrib, side veins."""
    length, angle = rng.uniform(52, 72), rng.uniform(0, 2 * np.pi)
    d, t = stroke(rng, at, length, bend=rng.uniform(2, 5), angle=angle)
    half = rng.uniform(0.18, 0.26) * length * (1 - t**2) ** 0.8 * (1 - 0.35 * t)
    body = cover(np.abs(d) - half, 1.5)
    veins = np.cos(1.1 * (t * length / 2 - 0.8 * np.abs(d))) ** 8
    light = 0.92 + 0.12 * noise(rng, 20) + 0.10 * veins + 0.3 * cover(np.abs(d) - 0.8)
    light += np.where(d > 0, -0.08, 0.05)
    colour = np.asarray(colours[rng.integers(len(colours))]) * light[..., None]
    shadow = 0.45 * gaussian_filter(shifted(body, 4), 2)
    return {"paint": lambda image: blend(blend(image, 0.0, shadow), colour, body)}


def hole(rng, at, behind=(0.2, 0.3)):
    """The ground behind shows, in shadow on the side of the light; the rim is frayed and lit."""
    d = blob(rng, at, rng.uniform(8, 13), 0.12) + 0.6 * noise(rng, 2.5)
    depth = np.clip(rng.uniform(*behind) + 0.01 * (X - at[1] + Y - at[0]), 0.06, 0.42)
    rim = 0.35 * cover(np.abs(d - 1.5) - 1, 3) * (0.7 + 0.3 * noise(rng, 3))
    return {"paint": lambda image: blend(blend(image, 0.7, rim), depth[..., None], cover(d, 2))}


def bent(rng, at):
    """A push that displaces the mesh smoothly."""
    angle, amount = rng.uniform(0, 2 * np.pi), rng.uniform(11, 16)
    bump = amount * np.exp(-((Y - at[0]) ** 2 + (X - at[1]) ** 2) / (2 * rng.uniform(13, 18) ** 2))
    return {"warp": (bump * np.sin(angle), bump * np.cos(angle))}


def broken(rng, at):
    """One or two neighbouring wires are cut over one to two meshes."""
    return {"gap": (at, rng.integers(1, 3), rng.uniform(0.7, 1.1))}


def missing_dot(rng, at):
    """A few neighbouring dots were not printed, or only faintly."""
    return {"faint": (at, rng.uniform(16, 26), rng.uniform(0.0, 0.25))}


def thick_bar(rng, at):
    """A band of too thick yarn across the cloth: it stretches the pattern and is paler."""
    return {"bar": (at[0], rng.uniform(3, 4.3), rng.uniform(0.13, 0.19))}


def knots(rng, at):
    """Lumps of yarn in a short row, each with a lit and a shaded side."""
    lift = np.zeros((SIZE, SIZE), np.float32)
    for k in range(rng.integers(3, 6)):
        centre = at + rng.normal(0, 3, 2) + (0, 15 * (k - 2))
        lift = np.maximum(lift, cover(blob(rng, centre, rng.uniform(5, 7), 0.2), 7))
    relief = 0.4 * (lift - shifted(lift, 2)) + 0.03 * lift * noise(rng, 2)
    return {
        "paint": lambda image: blend(image, image.mean((0, 1)), 0.7 * lift) + relief[..., None]
    }


def broken_pick(rng, at):
    """One weft thread is missing over a part of its row, so the warp floats there."""
    return {"missing": (at, rng.uniform(45, 80))}


def chip(rng, at):
    """A piece broken out of the outer edge: background, and a rough fracture face."""
    ray = (at - SIZE / 2) / np.hypot(*(at - SIZE / 2))
    return {"bite": blob(rng, SIZE / 2 + RIM * ray, rng.uniform(11, 16), 0.07)}


def radial_crack(rng, at):
    """A fissure from the bore towards the rim."""
    dy, dx = at - SIZE / 2
    return crack(rng, at, np.arctan2(dy, dx) + rng.normal(0, 0.15), length=(38, 52))


# Scenes: (rng, split) -> render(paint=..., changes) -> image, float (h, w, 3)
def bare(image):
    return image


def photo(name, dark, light, rng, split):
    """A crop of a photograph, toned from `dark` to `light`."""
    image = getattr(data, name)()
    # left part for training, right part for testing: both see near and far rows of the photograph
    image = image[:, :304] if split == "train" else image[:, 304:]
    side = rng.integers(160, 191)
    top, left = rng.integers(0, image.shape[0] - side), rng.integers(0, image.shape[1] - side)
    crop = image[top : top + side, left : left + side]
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    crop = Image.fromarray(crop.astype(np.float32)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    tone = np.clip((np.asarray(crop) - 30) / 195, 0, 1)[..., None]
    toned = np.asarray(dark) + tone * (np.asarray(light) - np.asarray(dark))
    return lambda paint=bare: paint(toned)


def lattice(rng, pitch, angle):
    """Coordinates along and across a rotated square lattice, in units of its pitch."""
    angle = np.deg2rad(angle + rng.normal(0, 0.7))
    phase = rng.uniform(0, 1, 2)

    def coordinates(warp=(0, 0)):
        y, x = Y - warp[0], X - warp[1]
        u = (x * np.cos(angle) + y * np.sin(angle)) / pitch + phase[0]
        v = (y * np.cos(angle) - x * np.sin(angle)) / pitch + phase[1]
        return u.astype(np.float32), v.astype(np.float32)

    return coordinates


def wire(u, v, pitch, radius, towards):
    """One family of wires, woven over and under the other: cover, height, brightness."""
    index = np.round(u)
    across = (u - index) * pitch / radius
    wave = np.cos(np.pi * (v + index))
    height = 0.8 * radius * wave + radius * np.sqrt(np.clip(1 - across**2, 0, 1))
    facing = np.sqrt(np.clip(1 - across**2, 0, 1))
    light = 0.22 + 0.3 * facing + 0.28 * towards * across + 0.1 * wave
    light += 0.35 * np.exp(-(((across - 0.4 * towards) / 0.25) ** 2)) * (0.6 + 0.4 * wave)
    return cover((np.abs(across) - 1) * radius), height, light


def cut_wires(u, v, gap, pitch):
    """Where neighbouring wires are missing, over some meshes around a place."""
    (y, x), wires, half = gap
    u0, v0 = np.round(u[int(y), int(x)]), v[int(y), int(x)]
    chosen = (np.round(u) >= u0) & (np.round(u) < u0 + wires)
    return chosen * cover((np.abs(v - v0) - half) * pitch)


def grid(rng, split):
    """A woven mesh of round steel wires over a mid-grey table."""
    pitch, radius = rng.normal(26, 0.2), rng.normal(3.7, 0.1)
    coordinates = lattice(rng, pitch, 45)
    table = 0.46 + 0.02 * noise(rng, 40) + 0.02 * noise(rng, 3)
    tarnish = 0.06 * noise(rng, 14)

    def render(paint=bare, warp=(0, 0), gap=None):
        u, v = coordinates(warp)
        first, high, bright = wire(u, v, pitch, radius, -0.9)
        second, low, dim = wire(v, u + 1, pitch, radius, -0.3)
        first = first * (1 - cut_wires(u, v, gap, pitch)) if gap else first
        either = np.maximum(first, second)
        image = table * (1 - 0.45 * gaussian_filter(shifted(either, 4), 2))
        above = (high > low) & (first > 0)
        image = image + np.where(above, second, first) * (np.where(above, dim, bright) - image)
        image = image + np.where(above, first, second) * (np.where(above, bright, dim) - image)
        image = image * (1 + either * tarnish)
        return paint(image[..., None] * np.array([1.0, 0.99, 0.96]))

    return render


def weave(rng, warp, weft, spread):
    """Cloth thread by thread: every warp end and weft pick has a colour and shade of its own."""
    ends, picks = 1 + spread * rng.standard_normal((2, 128))

    def render(x, y, lifted):
        i, j = np.floor(x).astype(int), np.floor(y).astype(int)
        across, along = 2 * (x - i) - 1, 2 * (y - j) - 1
        up = lifted(i, j)
        bulge = np.where(up, 1 - 0.5 * across**2 - 0.1 * across, 1 - 0.5 * along**2 - 0.1 * along)
        shade = bulge * np.where(up, ends[i % 128], picks[j % 128])
        return np.where(up[..., None], warp, weft) * shade[..., None]

    return render


def dot_print(rng, pitch):
    """Ink of a staggered lattice of dots, none quite like its neighbour."""
    coordinates = lattice(rng, pitch, 45)
    shift, (size, ink) = rng.normal(0, 1, (2, 64, 64)), rng.normal(0, 1, (2, 64, 64))
    fuzz = 0.6 * noise(rng, 3)

    def render(dy, faint):
        u, v = coordinates((dy, 0))
        i, j = np.round(u).astype(int), np.round(v).astype(int)
        cell = (i % 64, j % 64)
        du, dv = (u - i) * pitch - shift[0][cell], (v - j) * pitch - shift[1][cell]
        dot = cover(np.hypot(du, dv) - 5.6 - 0.4 * size[cell] + fuzz, 2) * (0.8 + 0.06 * ink[cell])
        if faint is None:
            return dot
        (y, x), reach, level = faint
        near = np.hypot(i - u[int(y), int(x)], j - v[int(y), int(x)]) * pitch < reach
        return dot * np.where(near, level, 1)

    return render


def dots(rng, split):
    """A dark plain-woven cloth printed with paler dots."""
    printed = dot_print(rng, 21)
    cloth = weave(rng, (0.36, 0.33, 0.34), (0.31, 0.29, 0.31), 0.06)
    phase, threads = rng.uniform(20, 30, 2), 4.5

    def render(paint=bare, faint=None, bar=(0, 1, 0)):
        middle, width, pale = bar
        profile = np.exp(-(((Y - middle) / width) ** 2) / 2) * (pale > 0)
        dy = 0.5 * (Y - middle) * profile
        x, y = X / threads + phase[0], (Y - dy) / threads + phase[1]
        image = cloth(x, y, lambda i, j: (i + j) % 2 == 0)
        image = blend(image, 2.3 * image, printed(dy, faint))
        return paint(image + (pale * profile)[..., None])

    return render


def twill(rng, split):
    """A 2/2 twill of blue warp and cream weft."""
    pitch = 7.0
    cloth = weave(rng, (0.24, 0.31, 0.46), (0.72, 0.69, 0.62), 0.07)
    phase, slope = rng.uniform(20, 30, 2), rng.normal(0, 0.012)
    wander = 0.35 * noise(rng, 60), 0.35 * noise(rng, 60)
    slub = 0.04 * noise(rng, 3) + 0.04 * noise(rng, 30)

    def render(paint=bare, missing=None):
        x = (X + slope * Y + wander[0]) / pitch + phase[0]
        y = (Y - slope * X + wander[1]) / pitch + phase[1]
        floats = np.zeros(X.shape, bool)
        if missing is not None:
            (row, column), half = missing
            lost = np.floor(y) == np.floor(y[int(row), int(column)])
            floats = lost & (np.abs(X - column) < half)
        image = cloth(x, y, lambda i, j: ((i - j) % 4 < 2) | floats)
        return paint(image * (1 + slub - 0.2 * floats)[..., None])

    return render


def washer(rng, split):
    """A turned steel washer with two pin holes, always at the same place on dark felt."""
    cy, cx = SIZE / 2 + rng.normal(0, 0.8, 2)
    radius, theta = np.hypot(Y - cy, X - cx), np.arctan2(Y - cy, X - cx)
    grooves = np.interp(radius, np.arange(0, 190, 1.3), rng.standard_normal(147))
    lamp = rng.uniform(0, np.pi)
    felt = 0.16 + 0.03 * noise(rng, 2) + 0.02 * noise(rng, 30)
    face = 0.40 + 0.34 * np.abs(np.cos(theta - lamp)) ** 4 + 0.05 * grooves
    face += 0.02 * noise(rng, 2) + 0.03 * noise(rng, 40)
    # the chamfers of rim and bore face opposite ways, so one is lit where the other is not
    sun = np.cos(theta + 2.2)
    face += 0.25 * sun * cover(RIM - 4 - radius, 2) - 0.25 * sun * cover(radius - BORE - 4, 2)
    solid = cover(radius - RIM, 1.2) * cover(BORE - radius, 1.2)
    for pin in (-0.7, 2.44):
        dy, dx = Y - cy - 74 * np.sin(pin), X - cx - 74 * np.cos(pin)
        solid = solid * cover(7 - np.hypot(dy, dx), 2)
    fracture = 0.33 + 0.08 * noise(rng, 4)

    def render(paint=bare, bite=None):
        metal, shape = paint(face[..., None] * np.array([0.98, 1.0, 1.02])), solid
        if bite is not None:
            metal = blend(metal, fracture[..., None], cover(bite - 6, 3))
            shape = solid * cover(-bite, 2)
        shadow = 0.5 * gaussian_filter(shifted(shape, 5), 3)
        return blend((felt * (1 - shadow))[..., None] * np.ones(3), metal, shape)

    return render


FIBRES = ((0.54, 0.32, 0.30), (0.32, 0.40, 0.54), (0.60, 0.57, 0.50))
LEAVES = ((0.50, 0.40, 0.26), (0.55, 0.49, 0.30), (0.47, 0.35, 0.28))
tear = partial(hole, behind=(0.1, 0.16))  # the cloth itself is dark
fibre, fallen_leaf = partial(thread, FIBRES), partial(leaf, LEAVES)
mortar = partial(patch, (0.58, 0.52, 0.47), grain=0.03)
soil = partial(patch, (0.40, 0.34, 0.24))
cement = partial(patch, (0.52, 0.51, 0.48), grain=0.02, radius=(20, 27))
glue = partial(patch, (0.55, 0.52, 0.42), grain=0.02, radius=(16, 24), opacity=0.65)
damp, dry = partial(stain, (0.80, 0.82, 0.86)), partial(stain, (1.22, 1.02, 0.72))
oil = partial(stain, (0.70, 0.62, 0.53), radius=(20, 27))
tea = partial(stain, (0.80, 0.74, 0.62))
rust = partial(stain, (0.98, 0.82, 0.66), radius=(11, 17))

SCENES = {
    "brick": partial(photo, "brick", (0.20, 0.12, 0.10), (0.92, 0.82, 0.74)),
    "grass": partial(photo, "grass", (0.08, 0.10, 0.06), (0.82, 0.88, 0.62)),
    "gravel": partial(photo, "gravel", (0.08, 0.08, 0.09), (0.92, 0.90, 0.86)),
    "grid": grid,
    "dots": dots,
    "twill": twill,
    "washer": washer,
}
KINDS = {
    "brick": {"crack": crack, "hole": hole, "mortar": mortar, "stain": damp},
    "grass": {"bare": soil, "dry": dry, "leaf": fallen_leaf, "thread": fibre},
    "gravel": {"cement": cement, "leaf": fallen_leaf, "oil": oil, "thread": fibre},
    "grid": {"bent": bent, "broken": broken, "glue": glue, "thread": fibre},
    "dots": {"hole": tear, "knots": knots, "missing_dot": missing_dot, "thick_bar": thick_bar},
    "twill": {"broken_pick": broken_pick, "hole": hole, "stain": tea, "thread": fibre},
    "washer": {"chip": chip, "contamination": rust, "crack": radial_crack, "scratch": scratch},
}


# Pictures
def place(rng, category):
    """Where a defect sits: anywhere off the border, on a washer half way across the ring."""
    if category != "washer":
        return rng.uniform(50, SIZE - 50, 2)
    angle = rng.uniform(0, 2 * np.pi)
    return SIZE / 2 + (RIM + BORE) / 2 * np.array([np.sin(angle), np.cos(angle)])


def camera(rng):
    """Exposure, uneven light, colour balance and focus of one picture, before sensor noise."""
    gain, tilt = rng.uniform(0.85, 1.15), rng.normal(0, 0.08, 2)
    light = gain * (1 + tilt[0] * (2 * Y / SIZE - 1) + tilt[1] * (2 * X / SIZE - 1))
    light = light[..., None] * (1 + rng.normal(0, 0.015, 3))
    return lambda image: gaussian_filter(np.float32(np.clip(image, 0, 1.1) * light), (0.7, 0.7, 0))


def picture(seed, category, split, kind, index):
    """One image and the mask of its defect (empty for `good`), both uint8."""
    names = [zlib.crc32(name.encode()) for name in (category, split, kind)]
    rng = np.random.default_rng([seed, *names, index])
    render, shoot = SCENES[category](rng, split), camera(rng)
    image = clean = shoot(render())
    mask = np.zeros((SIZE, SIZE), bool)
    # a defect that happens to look like the ground it fell on is drawn again
    while kind != "good" and not SMALLEST < mask.mean() < LARGEST:
        image = shoot(render(**KINDS[category][kind](rng, place(rng, category))))
        mask = np.abs(image - clean).max(axis=2) > VISIBLE
        mask = binary_closing(np.pad(mask, 3, mode="edge"), np.ones((3, 3)), 2)[3:-3, 3:-3]
    image = image + NOISE * rng.standard_normal(image.shape, dtype=np.float32)
    return np.uint8(255 * np.clip(image, 0, 1) + 0.5), np.uint8(255 * mask)


def pictures(seed, category):
    """Relative path and pixels of every file of a category."""
    counts = {("train", "good"): TRAIN, ("test", "good"): GOOD}
    counts |= {("test", kind): PER_KIND for kind in KINDS[category]}
    for (split, kind), count in counts.items():
        for index in range(count):
            image, mask = picture(seed, category, split, kind, index)
            yield f"{split}/{kind}/{index:03d}.png", image
            if kind != "good":
                yield f"ground_truth/{kind}/{index:03d}_mask.png", mask


def write(seed, category, root):
    """Write one category whole or not at all; return how many images each folder got."""
    folder, draft = root / category, root / f".{category}.partial"
    shutil.rmtree(draft, ignore_errors=True)
    written = {}
    for path, pixels in pictures(seed, category):
        (draft / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(draft / path, compress_level=1)
        written[path] = pixels.tobytes()
    content = hashlib.sha256(b"".join(path.encode() + written[path] for path in sorted(written)))
    folders = [path.rpartition("/")[0] for path in written]
    counts = dict(Counter(name for name in folders if not name.startswith("ground_truth")))
    manifest = {"dataset": "textures", "category": category, "complete": True, "seed": seed}
    manifest |= {"counts": counts, "sha256": content.hexdigest()}
    (draft / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return counts


def main():
    default = os.environ.get("ANOMLIB_DATA") or Path(__file__).parents[1] / "data"
    parser = argparse.ArgumentParser(description="Generate the embedded dataset.")
    parser.add_argument("--root", type=Path, default=Path(default), help="holds textures/")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--categories", nargs="+", choices=SCENES, default=[*SCENES])
    args = parser.parse_args()
    start = time.perf_counter()
    for category in args.categories:
        try:
            counts = write(args.seed, category, args.root / "textures")
        except OSError as error:
            raise SystemExit(f"cannot write {args.root}: {error}; choose another --root") from None
        print(f"{category:8}", *(f"{name} {count}" for name, count in counts.items()), sep="  ")
    print(f"{time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
