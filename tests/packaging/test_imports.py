"""No module needs itself, by whatever way round; an import for type checkers alone is one too."""

from graphlib import TopologicalSorter

import grimp


def test_there_are_no_import_circles() -> None:
    graph = grimp.build_graph("clew", exclude_type_checking_imports=False, cache_dir=None)
    needs = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(needs) > 200
    TopologicalSorter(needs).prepare()  # raises CycleError, which names the circle
