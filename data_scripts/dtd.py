"""Arranges the describable textures (DTD), from which synthetic defects take their material.

    python data_scripts/dtd.py [--source FOLDER] [--root data]

FOLDER holds images/<class>/*.jpg; the official set has 47 classes of 120 images.
"""

from layout import arguments, images, stop, write_category


def main() -> None:
    options = arguments(__doc__ or "", "datasets/dtd")
    classes = sorted(p for p in (options.source / "images").glob("*") if p.is_dir())
    files = {f"{folder.name}/{p.name}": p for folder in classes for p in images(folder)}
    if not files:
        stop(f"{options.source}/images holds no texture")
    write_category(options.root, "dtd", "images", files, complete=len(files) == 47 * 120)


if __name__ == "__main__":
    main()
