"""Arranges what is at hand of MVTec AD: whole categories as `mvtec`, parts as `mvtec+sample`.

    python data_scripts/mvtec.py [--source FOLDER_OR_ARCHIVE] [--root data]

The source is a folder of categories, or the official archive mvtec_anomaly_detection.tar.xz. A
category with all its official images becomes mvtec/<category>; one with fewer becomes
mvtec+sample/<category>, so that no number of a part is ever read as one of the whole.
"""

from pathlib import Path

from layout import arguments, folder_of, mvtec_layout, stop, write_category

SHA256 = "cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d"
# category: (training images, test images); 3629 and 1725 in all
COUNTS = {
    "bottle": (209, 83),
    "cable": (224, 150),
    "capsule": (219, 132),
    "carpet": (280, 117),
    "grid": (264, 78),
    "hazelnut": (391, 110),
    "leather": (245, 124),
    "metal_nut": (220, 115),
    "pill": (267, 167),
    "screw": (320, 160),
    "tile": (230, 117),
    "toothbrush": (60, 42),
    "transistor": (213, 100),
    "wood": (247, 79),
    "zipper": (240, 151),
}


def main() -> None:
    options = arguments(__doc__ or "", "datasets/mvtec")
    with folder_of(options.source, "bottle", SHA256) as folder:
        arrange(folder, options.root)


def arrange(folder: Path, root: Path) -> None:
    """Writes every category of MVTec AD that a folder holds."""
    found = [name for name in COUNTS if (folder / name).is_dir()]
    if not found:
        stop(f"{folder} holds none of the categories {', '.join(COUNTS)}")
    for category in found:
        files = mvtec_layout(folder / category)
        counts = tuple(sum(n.startswith(part) for n in files) for part in ("train/", "test/"))
        complete = counts == COUNTS[category]
        dataset = "mvtec" if complete else "mvtec+sample"
        write_category(root, dataset, category, files, complete)
        if not complete:
            print(f"  official set: {COUNTS[category]} training and test images, here {counts}")


if __name__ == "__main__":
    main()
