"""These are the standing texts of a report, as HTML: kinds of data, captions, and what no number in it can show."""

from ssrecon.study.image_rows import MAGNIFIED
from ssrecon.study.statistics import MINIMUM_SUBJECTS

KINDS = {
    "simulated": (
        "Simulated data",
        "Anatomy, coils and noise were made by a computer: the numbers compare methods, they do not foretell quality on patients.",
    ),
    "semi-synthetic": ("Semi-synthetic data", "Measured images, with simulated coils and noise: k-space was computed, not acquired."),
    "measured": ("Measured data", "K-space as a scanner acquired it."),
    "mixed": ("Mixed data", "Measured and simulated scans stand side by side in this archive."),
}

FEW = f" With fewer than {MINIMUM_SUBJECTS} subjects figures are descriptive: nothing is tested."

UNFINISHED = "This run is unfinished: the report shows what it has reached so far."
INTERVALS = "Mean over {subjects} test subjects and, below it, its 95 % interval over subjects."
NO_INTERVALS = "One test subject: there is no interval."
SEEDS = "{seeds} seeds a network, averaged within a subject; “seeds” is the standard deviation between them."
RECIPES_DIFFER = "Where the arms' recipes differ. In everything else they are equal."

DIFFERENCES = (
    "Paired differences: mean over subjects, 95 % interval, the number of subjects for whom the first method is the better "
    "one, and the two-sided Wilcoxon signed-rank p-value after Holm's correction over this whole table."
)
NON_INFERIORITY = (
    "Non-inferiority to supervised training, under both selection rules. Advantage: how much better the first is, in the metric's own "
    "unit; its one-sided 95 % bound must lie above minus the margin, which was written down before the run."
)
SUBJECTS = "Thin lines are subjects, diamonds means, bars their 95 % intervals"
FOREST = "; right, the paired difference to supervised training, with the margin of non-inferiority shaded"
CURVES = (
    "A line is one training; the untrained network is left out. Losses of different objectives have different units and floors and are "
    "not to be compared with one another. The Γ score uses acquired samples that neither network nor calibration saw."
)
GAMMA = (
    "Each point is one validation, fainter the earlier, a marker a seed. ρ: Spearman's rank correlation, within a training, mean over "
    "seeds. Where it is high, the score that needs no truth would have chosen about the same checkpoint as the truth."
)
WITHHELD = (
    "Median over the scans shown of |y − E x|² / |y|² on samples that were withheld from every method. "
    "Where noise dominates, even a perfect image stays near 1."
)
ACQUIRED = "Median over the scans shown of |y − E x|² / |y|² on the acquired samples, which the methods were given."
SOURCES = (
    "Made by ssrecon {version} from this folder's run.json, metrics.csv, images.npz and histories; figures/ holds the figures as files. "
    "Intervals: bootstrap-t over subjects. Metrics: NMSE, NRMSE, PSNR, SSIM (Wang et al. 2004), HFEN (Ravishankar &amp; "
    "Bresler 2011)."
)
ROWS = f"top to bottom: image, zoom, {MAGNIFIED} × error"
ROWS_WITHOUT_REFERENCE = "top to bottom: image, zoom"

RETROSPECTIVE = (
    "<b>Undersampling was retrospective</b>: it omits motion, drift and eddy currents that differ between a fast scan and a slow one."
)
CAVEATS = (
    "<b>Γ cannot see what nobody sampled.</b> It tests predictions of samples that were acquired. Structure invented in parts of k-space "
    "that no scan of this archive ever covers changes no Γ score.",
    "<b>Γ is dominated by the centre of k-space</b>, where the energy is; detail is judged by the residual per band, not by the total.",
    "<b>Γ needs honest noise.</b> Wrong whitening, regridding or averaging before it, or removed readout oversampling that was not "
    "accounted for, make held-out samples depend on the others. Errors of the coil sensitivities raise the score of every method.",
    "<b>A residual below 1</b> (in units of the noise) on samples that a method was given shows over-fitting, not quality.",
    "<b>PSNR, SSIM and NMSE are not diagnosis.</b> They say little about small lesions, and their reference carries noise of its own, "
    "which bounds what any method can reach. Nothing here is a statement about clinical use.",
)
