"""A run measured on products that are damaged on purpose: ``python -m training evaluate RUN --data ... --robustness``.

With ``--part test`` the result is also left as ``RUN/robustness.json``, where ``python -m training report`` looks for
it. It holds what :mod:`training.evaluation` documents and, besides::

    {
      "seed": 0,                            of all damage: (seed, product id) decides what happens to a product
      "conditions": [                       in the order of training.robustness_grid.CONDITIONS, clean first
        {
          "name": "words masked, 15 %",     unique: kind and tick
          "kind": "words masked",           conditions of one kind differ in strength; "clean" for no damage
          "tick": "15 %",                   the strength, from weak to strong; "" where there is only one
          "changed": {"title": 0.93, "image": 0.0},      share of the products whose title or picture was changed
          "models": {
            "image": {
              "products": 4000, "classes": 142, "classes_frequent": 97,
              "accuracy": 0.88, "macro_f1": 0.71, "macro_f1_frequent": 0.75,
              "ece": 0.02, "brier": 0.17, "area_under_risk_coverage": 0.03,
              "coverage_at_95_precision": 0.83,
              "needs_review": 0.17          share of the answers below the model's review threshold
            },
            "text": ..., "early": ..., "intermediate": ..., "late": ...,
            "baseline": {"products", "classes", "classes_frequent", "accuracy", "macro_f1", "macro_f1_frequent"}
          }
        }
      ]
    }

``baseline`` is in every condition or in none (then ``baseline_missing`` at the top says why).

A side that is taken away is handed over exactly as the server does it: a white picture, an empty title, ``present``
false. A product never loses both: one that has only one side keeps it.
"""

FILE = "robustness.json"
