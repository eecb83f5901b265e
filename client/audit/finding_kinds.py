"""The kinds of findings, the clearest first."""

UNANIMOUS, MAJORITY, MODALITIES_DIFFER = "unanimous", "majority", "sides"
MEANING = {
    UNANIMOUS: "contradicted by all answers",
    MAJORITY: "contradicted on the whole",
    MODALITIES_DIFFER: "picture against title",
}
