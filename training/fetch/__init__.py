"""Gets the pictures of a catalogue from the web addresses in its column of pictures: ``python -m training fetch``.

The order: :mod:`catalogue` reads the addresses, :mod:`run` gets them with :mod:`download` over :mod:`network`, taking
turns by :mod:`hosts`; :mod:`store` keeps what came; :mod:`catalogue` writes the table with the names of the files.
"""
