"""Case 17b: clean, fully sampled raw scans of high SNR (phantoms, surface coils) were refused as filled in by GRAPPA."""

import pytest
import torch

from ssrecon.core.scan import Header, Scan
from ssrecon.inspect.look import look
from tests.cases.common import scan


@pytest.mark.parametrize("coils", [4, 8, 16])
@pytest.mark.parametrize("sigma", [0.004, 0.0025, 0.0005])
def test_nothing_is_alleged(coils, sigma):
    kspace, _, _ = scan(coils, 120, 128, 3, sigma)
    mask = torch.ones(1, 1, 1, 120, 128, dtype=torch.bool)
    looked = look(Scan(Header("a", "a", "a"), torch.from_numpy(kspace)[None, None], mask, ~mask))
    assert {finding["kind"] for finding in looked.findings if finding["severity"] == "refuse"} == set()
    assert "grappa_filled" not in {finding["kind"] for finding in looked.findings}
