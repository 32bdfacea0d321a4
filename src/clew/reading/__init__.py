"""Users' files, read in a process of their own: :mod:`clew.reading.reader` is the way in.

Whatever library reads a hostile file, it dies of some: so each file is read by one short-lived process under
the operating system's limits, and the library only decides how often that ends badly.
"""
