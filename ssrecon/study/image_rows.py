"""Images are drawn side by side here: reference, every method, a zoom, and error maps, on scales common to all scans that are shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssrecon.study.run_folder import Arm, Images, RunFolder
from ssrecon.study.style import INK, looks, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 11.0
PERCENTILE = 99
"""This percentile of the references in the middle of the object is shown white."""
MAGNIFIED = 5
"""Error maps show this many times the absolute error in the images' own window."""
ZOOM = 0.3
"""The zoom box has this part of the image's sides."""
BOX = "#ffb000"
GAP = 0.05
HEAD, FOOT = 0.24, 0.2


@dataclass(frozen=True)
class Gallery:
    """A gallery holds what the rows of images are drawn from, and the scales that they share."""

    images: Images
    arms: tuple[Arm, ...]
    guide: np.ndarray
    """Crop, window and zoom are taken from these images (n, y, x): the references, or without any the last arm's."""
    crop: tuple[slice, slice]
    """The window in y and x that is shown, the same for all scans."""
    white: float
    """The magnitude that is shown white."""

    @staticmethod
    def of(run: RunFolder) -> "Gallery | None":
        """Return the gallery of a run, or None where its folder has no images."""
        images = run.images
        if images is None or not images.arms or not images.scan_ids:
            return None
        arms = tuple(arm for arm in run.arms if arm.name in images.arms)
        shown = images.reference if images.reference is not None else images.arms[arms[-1].name]
        crop = object_window(shown)
        # In the middle of the object: scalp and fat near the coils would otherwise decide what counts as bright.
        middle = shown[:, *(slice(s.start + (s.stop - s.start) // 5, s.stop - (s.stop - s.start) // 5) for s in crop)]
        return Gallery(images, arms, shown, crop, float(np.percentile(middle, PERCENTILE)) or 1.0)

    def __len__(self) -> int:
        return len(self.images.scan_ids)

    @property
    def has_reference(self) -> bool:
        return self.images.reference is not None

    @property
    def columns(self) -> int:
        return len(self.arms) + 1

    def box(self, scan: int) -> tuple[slice, slice]:
        """Return the box of the zoom inside the crop, where the guide has most detail."""
        return busiest(np.minimum(self.guide[scan], self.white)[self.crop])

    def caption(self) -> str:
        """Return what a reader must know to read the images."""
        shown = "reference" if self.has_reference else "last method's image"
        sentences = [
            f"Grey window 0 to {self.white:.3g}, the {PERCENTILE} % point of the {shown}s in the middle of the object, the same in all "
            "panels; images are in each scan's own scaled units and are not fitted to one another.",
            f"Images are cropped to the object; the zoom box lies where the {shown} has most detail in its middle, not chosen by hand.",
        ]
        if self.has_reference:
            saturated = f"saturated at an error of {self.white / MAGNIFIED:.3g}"
            sentences.insert(1, f"Error maps show {MAGNIFIED} × |image − reference| in the same window: {saturated}.")
        return " ".join(sentences)


def image_rows(run: RunFolder, scan: int = 0) -> "Figure | None":
    """Draw one scan: a column for the reference (with the sampling mask) and one for each method, with image, zoom and error map."""
    gallery = Gallery.of(run)
    if gallery is None or scan >= len(gallery):
        return None
    with styled():
        return _ImageSheet(gallery, run, (scan,)).figure


def all_image_rows(run: RunFolder) -> "Figure | None":
    """Draw all scans below each other."""
    gallery = Gallery.of(run)
    if gallery is None:
        return None
    with styled():
        return _ImageSheet(gallery, run, range(len(gallery))).figure


def busiest(image: np.ndarray, fraction: float = ZOOM) -> tuple[slice, slice]:
    """Return the window, `fraction` of each side, with the largest sum of gradient magnitudes, within the middle 60 % of ``(y, x)``."""
    size = [max(4, round(n * fraction)) for n in image.shape]
    dy, dx = np.gradient(image.astype(np.float64))
    total = np.pad(np.cumsum(np.cumsum(np.hypot(dy, dx), axis=0), axis=1), ((1, 0), (1, 0)))
    (h, w), (ny, nx) = size, image.shape
    energy = total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]
    y0, x0 = ny // 5, nx // 5
    middle = energy[y0 : max(y0 + 1, ny - y0 - h + 1), x0 : max(x0 + 1, nx - x0 - w + 1)]
    y, x = np.unravel_index(int(middle.argmax()), middle.shape)
    return slice(int(y0 + y), int(y0 + y + h)), slice(int(x0 + x), int(x0 + x + w))


def object_window(images: np.ndarray) -> tuple[slice, slice]:
    """Return the smallest window in y and x that holds the object of all images ``(n, y, x)``, with a margin."""
    bright = float(np.percentile(images, 99.5))
    inside = np.any(images > 0.1 * bright, axis=0)
    return _extent_with_margin(np.any(inside, axis=1)), _extent_with_margin(np.any(inside, axis=0))


def _extent_with_margin(inside: np.ndarray) -> slice:
    """Return the slice from the first to the last True, with a margin of 3 % of the whole."""
    places = np.flatnonzero(inside)
    if len(places) == 0:
        return slice(0, len(inside))
    margin = max(1, round(0.03 * len(inside)))
    return slice(max(0, int(places[0]) - margin), min(len(inside), int(places[-1]) + 1 + margin))


class _ImageSheet:
    """A sheet places the panels of some scans by hand, as constrained layouts leave gaps between images."""

    def __init__(self, gallery: Gallery, run: RunFolder, scans: Sequence[int]):
        self.gallery, self.run, self.look = gallery, run, looks(run)
        y, x = gallery.crop
        ny, nx = y.stop - y.start, x.stop - x.start
        self.cell = (WIDTH - (gallery.columns - 1) * GAP) / gallery.columns
        self.tall = self.cell * ny / nx
        self.rows = 3 if gallery.has_reference else 2
        block = HEAD + self.rows * (self.tall + GAP) + FOOT
        self.height = block * len(scans)
        self.figure = new_figure(WIDTH, self.height)
        self.figure.set_layout_engine("none")
        for i, scan in enumerate(scans):
            self._draw_scan(scan, top=self.height - i * block)

    def _draw_scan(self, scan: int, top: float) -> None:
        gallery, box, crop = self.gallery, self.gallery.box(scan), self.gallery.crop
        y = [top - HEAD - (row + 1) * self.tall - row * GAP for row in range(self.rows)]
        reference = gallery.images.reference[scan][crop] if gallery.images.reference is not None else None
        mask = gallery.images.mask[scan] if gallery.images.mask is not None else None
        if reference is not None:
            self._write_head(0, top, "Reference", INK)
            self._draw_image(0, y[0], reference, box)
            self._draw_image(0, y[1], reference[box])
            if mask is not None:
                self._draw_mask(self._add_axes(0, y[2]), mask)
                self._write_foot(0, y[2], f"sampled {mask.mean():.0%}")
        elif mask is not None:
            self._write_head(0, top, "Sampling", INK)
            self._draw_mask(self._add_axes(0, y[0]), mask)
            self._write_foot(0, y[0], f"sampled {mask.mean():.0%}")
        for column, arm in enumerate(gallery.arms, start=1):
            image = gallery.images.arms[arm.name][scan][crop]
            self._write_head(column, top, arm.label, self.look[arm.name].colour)
            self._draw_image(column, y[0], image, box)
            self._draw_image(column, y[1], image[box])
            if reference is not None:
                self._draw_error(column, y[2], np.abs(image - reference))
                self._write_foot(column, y[2], scan_scores(self.run, arm, gallery.images.scan_ids[scan]))

    def _add_axes(self, column: int, y: float) -> "Axes":
        x = column * (self.cell + GAP)
        axes = self.figure.add_axes((x / WIDTH, y / self.height, self.cell / WIDTH, self.tall / self.height))
        axes.set_axis_off()
        return axes

    def _draw_image(self, column: int, y: float, image: np.ndarray, box: tuple[slice, slice] | None = None) -> None:
        axes = self._add_axes(column, y)
        axes.imshow(image, cmap="gray", vmin=0, vmax=self.gallery.white, interpolation="none", aspect="auto")
        if box is not None:
            _draw_box(axes, box)

    def _draw_error(self, column: int, y: float, error: np.ndarray) -> None:
        options: dict[str, Any] = {"vmin": 0, "vmax": self.gallery.white, "interpolation": "none", "aspect": "auto"}
        self._add_axes(column, y).imshow(MAGNIFIED * error, cmap="inferno", **options)

    def _draw_mask(self, axes: "Axes", mask: np.ndarray) -> None:
        axes.imshow(mask, cmap="gray", vmin=0, vmax=1, interpolation="none", aspect="auto")

    def _write_head(self, column: int, top: float, text: str, colour: str) -> None:
        # All heads in one size, that of the longest.
        longest = max(len(arm.label) for arm in self.gallery.arms)
        size = min(8.5, max(72 * self.cell / (0.64 * longest), 4.5))
        self._write_text(column, top - HEAD + 0.06, text, colour, size, weight="bold")

    def _write_foot(self, column: int, y: float, text: str) -> None:
        self._write_text(column, y - 0.135, text, INK, size=7, weight="normal")

    def _write_text(self, column: int, y: float, text: str, colour: str, size: float, weight: str) -> None:
        # Labels shrink rather than run into the next column: about .6 em a letter.
        size = min(size, 72 * self.cell / (0.64 * max(len(text), 1)))
        x = column * (self.cell + GAP)
        self.figure.text(x / WIDTH, y / self.height, text, color=colour, fontsize=size, fontweight=weight, va="bottom")


def scan_scores(run: RunFolder, arm: Arm, scan_id: str) -> str:
    """Return PSNR and SSIM of one scan and the first seed, in the convention that takes each slice on its own where there is one."""
    selection, parts = run.selection(arm), []
    for metric, form in (("psnr", "{:.1f} dB"), ("ssim", "SSIM {:.3f}")):
        rows = [r for r in run.metrics if (r["arm"], r["scan"], r["metric"]) == (arm.name, scan_id, metric)]
        rows = [r for r in rows if r["selection"] == selection] or rows
        preferred = [r for r in rows if r["convention"] == "slice"] or rows
        if preferred:
            parts.append(form.format(preferred[0]["value"]))
    return "  ".join(parts)


def _draw_box(axes: "Axes", box: tuple[slice, slice]) -> None:
    from matplotlib.patches import Rectangle

    y, x = box
    corner = (x.start - 0.5, y.start - 0.5)
    axes.add_patch(Rectangle(corner, x.stop - x.start, y.stop - y.start, fill=False, edgecolor=BOX, linewidth=0.9))
