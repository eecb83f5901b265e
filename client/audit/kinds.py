"""What can be wrong with a product, the clearest first."""

UNANIMOUS, MAJORITY, SIDES_DIFFER = "unanimous", "majority", "sides"
MEANING = {
    UNANIMOUS: "contradicted by all sides",
    MAJORITY: "contradicted on the whole",
    SIDES_DIFFER: "picture against title",
}
