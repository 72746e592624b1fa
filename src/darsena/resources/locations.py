"""Locations. Any label is accepted and kept in ARM's normal form; the table is what clients are offered."""

from __future__ import annotations

import re
from dataclasses import dataclass

from darsena.core.errors import RequestInvalid

_LABEL = re.compile(r"[a-z][a-z0-9-]{0,63}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    display_name: str
    geography: str
    """ARM's geography group."""
    paired: str | None = None

    @property
    def name(self) -> str:
        return self.display_name.lower().replace(" ", "")


def _regions(geography: str, *pairs: tuple[str, str | None]) -> tuple[Region, ...]:
    return tuple(Region(display_name=name, geography=geography, paired=paired) for name, paired in pairs)


REGIONS: tuple[Region, ...] = (
    *_regions(
        "US",
        ("East US", "westus"),
        ("East US 2", "centralus"),
        ("South Central US", "northcentralus"),
        ("West US 2", "westcentralus"),
        ("West US 3", "eastus"),
        ("Central US", "eastus2"),
        ("North Central US", "southcentralus"),
        ("West US", "eastus"),
        ("West Central US", "westus2"),
    ),
    *_regions("Canada", ("Canada Central", "canadaeast"), ("Canada East", "canadacentral")),
    *_regions("South America", ("Brazil South", "southcentralus")),
    *_regions("Mexico", ("Mexico Central", None)),
    *_regions(
        "Europe",
        ("North Europe", "westeurope"),
        ("West Europe", "northeurope"),
        ("France Central", None),
        ("Germany West Central", None),
        ("Italy North", None),
        ("Norway East", None),
        ("Poland Central", None),
        ("Spain Central", None),
        ("Sweden Central", None),
        ("Switzerland North", None),
        ("UK South", "ukwest"),
        ("UK West", "uksouth"),
    ),
    *_regions("Middle East", ("UAE North", None), ("Qatar Central", None), ("Israel Central", None)),
    *_regions("Africa", ("South Africa North", None)),
    *_regions(
        "Asia Pacific",
        ("Australia East", "australiasoutheast"),
        ("Australia Southeast", "australiaeast"),
        ("Central India", "southindia"),
        ("South India", "centralindia"),
        ("East Asia", "southeastasia"),
        ("Southeast Asia", "eastasia"),
        ("Japan East", "japanwest"),
        ("Japan West", "japaneast"),
        ("Korea Central", None),
        ("New Zealand North", None),
    ),
)


def parse_location(text: str | None) -> str:
    """`West US` and `westus` are the same location. Raises RequestInvalid when there is none or it is no label."""
    if text is None or not text.strip():
        raise RequestInvalid(
            "The location property is required for this definition.", "location", code="LocationRequired"
        )
    label = text.replace(" ", "").lower()
    if not _LABEL.match(label):
        raise RequestInvalid(
            f"The provided location '{text[:80]}' is not valid: use letters, digits and dashes, such as 'eastus'.",
            "location",
            code="LocationNotAvailableForResourceType",
        )
    return label
