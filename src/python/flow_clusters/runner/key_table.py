"""The tasks of the graphs that a script has handed over, by what is known of each. Pure; its user holds a lock."""

_STATES = {
    "waiting": "submitted",
    "queued": "submitted",
    "no-worker": "submitted",
    "processing": "running",
    "memory": "completed",
    "erred": "failed",
}
_FINAL = ("completed", "failed", "cancelled")


class Graph:
    """What was handed over at once."""

    def __init__(self, number, wanted):
        self.number = number  # they are counted
        self.gone = None  # how many there were when the last future of it went
        self.wanted = set(wanted)  # keys that a client holds futures of
        self.pending = set(wanted)  # those of them that it has no news of
        self.open = {}  # key -> state, of tasks that are not finished; asked for in this order
        self.inferred = set()  # keys that the scheduler knew no longer, so they must have been computed
        self.known = False  # whether the scheduler has taken it in
        self.unwell = False  # something of it has failed or is not wanted any more: nothing can be inferred


class KeyTable:
    def __init__(self, group_of):
        self._group_of = group_of
        self._where = {}  # key -> its graph, the last one if there were several
        self._number = 0
        self._graphs = {}  # those with open keys; asked for in this order
        self.counts = {}  # group -> state -> number
        self.unsure = {}  # key -> its graph, of tasks that the scheduler no longer knows and that may not have run
        self.changed = False

    def __len__(self):
        return len(self._where)

    @property
    def open_count(self):
        return sum(len(graph.open) for graph in self._graphs)

    def add(self, wanted):
        """A graph, so far with the keys that futures are held of."""
        self._number += 1
        graph = Graph(self._number, wanted)
        self._graphs[graph] = None
        self.add_keys(graph, wanted)
        return graph

    def add_keys(self, graph, keys):
        for key in keys:
            former = self._where.get(key)
            if former is graph:
                continue
            if former is not None and (former.gone is None or former.gone >= graph.number):
                graph.pending.discard(key)  # it was still held: nothing is computed again
                continue
            self._where[key] = graph
            self._move(graph, key, "submitted")
        self._complete(graph)

    def ended(self, key, state):
        """A client has heard of one of its futures."""
        graph = self._where.get(key)
        if graph is None or key not in graph.open:
            return
        graph.pending.discard(key)
        self._move(graph, key, state)
        if state == "failed":
            self._doubt(graph)
        else:
            self._complete(graph)

    def released(self, key):
        """The last future of it has gone."""
        graph = self._where.get(key)
        if graph is None:
            return
        graph.wanted.discard(key)
        if not graph.wanted:
            graph.gone = self._number
        if key in graph.open:
            graph.pending.discard(key)
            self._doubt(graph)

    def take(self, states):
        """What the scheduler says of keys at one moment: None of those that it does not know."""
        gone = []
        for key, said in states.items():
            graph = self._where.get(key)
            if graph is None or key not in graph.open:
                continue
            state = _STATES.get(said)
            if state is None:
                gone.append((graph, key))
                continue
            graph.known = True
            self._move(graph, key, state)
            if state == "failed":
                self._doubt(graph)
        for graph, key in gone:
            if graph.unwell:
                self.unsure[key] = graph
            elif graph.known and key not in graph.pending:
                graph.inferred.add(key)
                self._move(graph, key, "completed")

    def decide(self, keys, ends):
        """`ends`: how those of the unsure `keys` that have run ended, by the scheduler's own record."""
        for key in keys:
            graph = self.unsure.pop(key, None)
            if graph is None:
                continue
            state = ends.get(key, "cancelled")
            if key in graph.open:
                self._move(graph, key, state)
            elif key in graph.inferred:
                self._count(key, "completed", state)
            graph.inferred.discard(key)

    def give_up(self):
        """Nothing more will be done of what is open: whether it has been, is unsure."""
        for graph in self._graphs:
            self._doubt(graph)
            self.unsure.update((key, graph) for key in graph.open)

    def next_keys(self, most):
        """At most so many open keys, those that were asked for longest ago."""
        chosen = []
        for graph in list(self._graphs):
            del self._graphs[graph]
            if not graph.open:
                continue
            self._graphs[graph] = None
            keys = list(graph.open)[: most - len(chosen)]
            for key in keys:
                graph.open[key] = graph.open.pop(key)
            chosen += keys
            if len(chosen) >= most:
                break
        return chosen

    def _complete(self, graph):
        """When all that is wanted of it is there, all in between has been computed."""
        if not graph.pending and not graph.unwell:
            for key in list(graph.open):
                self._move(graph, key, "completed")

    def _doubt(self, graph):
        graph.unwell = True
        self.unsure.update((key, graph) for key in graph.inferred)

    def _move(self, graph, key, state):
        old = graph.open.get(key)
        if state in _FINAL:
            graph.open.pop(key, None)
        else:
            graph.open[key] = state
        if old != state:
            self._count(key, old, state)

    def _count(self, key, old, state):
        counts = self.counts.setdefault(self._group_of(key), {})
        if old is not None:
            counts[old] -= 1
        counts[state] = counts.get(state, 0) + 1
        self.changed = True

    def shown(self, threads):
        """group -> state -> number. A worker is handed more than it has threads for: what cannot run is submitted."""
        groups = {}
        for group, counts in self.counts.items():
            running = min(counts.get("running", 0), threads)
            threads -= running
            waiting = counts.get("submitted", 0) + counts.get("running", 0) - running
            groups[group] = {k: n for k, n in dict(counts, running=running, submitted=waiting).items() if n}
        return groups
