"""Arranges the magnetic tiles (MTD) as split0, split1, split2 and as the sample `mtd+sample`.

    python data_scripts/mtd.py [--source FOLDER] [--root data]

FOLDER (or a zip or tar archive of it) holds MT_Free, MT_Blowhole, MT_Break, MT_Crack, MT_Fray and
MT_Uneven, each with Imgs/*.jpg and a mask of the same stem, *.png. A split keeps 80 % of the good
tiles for training and tests on the rest and on all defective tiles; the good test tiles of each
split are listed in splits/. Four masks of Uneven are empty in the public copy; those tiles count
as defective images.
"""

from pathlib import Path

from layout import arguments, folder_of, images, stop, write_category

COUNTS = {"Free": 952, "Blowhole": 115, "Break": 85, "Crack": 57, "Fray": 32, "Uneven": 103}
SPLITS = Path(__file__).parent / "splits"
SAMPLE = 12  # images of each kind of defect, and 5 times as many good ones to train on


def main() -> None:
    options = arguments(__doc__ or "", "datasets/mtd")
    with folder_of(options.source, "MT_Free") as folder:
        arrange(folder, options.root)


def arrange(folder: Path, root: Path) -> None:
    """Writes the three splits and the sample."""
    tiles = {kind: images(folder / f"MT_{kind}" / "Imgs") for kind in COUNTS}
    photos = {kind: [p for p in found if p.suffix == ".jpg"] for kind, found in tiles.items()}
    found = {kind: len(paths) for kind, paths in photos.items()}
    if found != COUNTS:
        stop(f"{folder} holds {found}, the public copy {COUNTS}: fetch it again")
    defective = {}
    for kind in list(COUNTS)[1:]:
        for photo in photos[kind]:
            defective[f"test/{kind.lower()}/{photo.name}"] = photo
            mask = f"ground_truth/{kind.lower()}/{photo.stem}_mask.png"
            defective[mask] = photo.with_suffix(".png")
    good = {p.name: p for p in photos["Free"]}
    training: list[str] = []
    for split in range(3):
        held_out = set((SPLITS / f"mtd_split{split}.txt").read_text().split())
        if not held_out <= set(good):
            stop(f"splits/mtd_split{split}.txt names tiles that {folder} does not hold")
        files = {
            f"{'test' if name in held_out else 'train'}/good/{name}": p for name, p in good.items()
        }
        write_category(root, "mtd", f"split{split}", files | defective, complete=True)
        training = training or [n for n in sorted(files) if n.startswith("train/")]
    kept = {p for kind in list(COUNTS)[1:] for p in photos[kind][:SAMPLE]}
    kept |= {p.with_suffix(".png") for p in kept}
    sample = {name: p for name, p in defective.items() if p in kept}
    sample |= {name: good[Path(name).name] for name in training[: 5 * SAMPLE]}
    write_category(root, "mtd+sample", "split0", sample, complete=False)


if __name__ == "__main__":
    main()
