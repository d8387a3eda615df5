"""Graphs that nodes expand into, and outputs that stop whoever uses them."""


class ExecutionBlocker:
    def __init__(self, message):
        self.message = message


def is_link(obj):
    return (isinstance(obj, list) and len(obj) == 2 and isinstance(obj[0], str)
            and isinstance(obj[1], (int, float)))


class GraphBuilder:
    _default_prefix_root, _default_prefix_call_index, _default_prefix_graph_index = "", 0, 0

    def __init__(self, prefix=None):
        self.prefix = GraphBuilder.alloc_prefix() if prefix is None else prefix
        self.nodes = {}

    @classmethod
    def set_default_prefix(cls, prefix_root, call_index, graph_index=0):
        cls._default_prefix_root = prefix_root
        cls._default_prefix_call_index = call_index
        cls._default_prefix_graph_index = graph_index

    @classmethod
    def alloc_prefix(cls, root=None, call_index=None, graph_index=None):
        own = (cls._default_prefix_root, cls._default_prefix_call_index,
               cls._default_prefix_graph_index)
        given = (root, call_index, graph_index)
        parts = [o if g is None else g for g, o in zip(given, own, strict=True)]
        GraphBuilder._default_prefix_graph_index += 1
        return "".join(f"{part}." for part in parts)

    def node(self, class_type, id=None, **kwargs):
        id = self.prefix + (str(len(self.nodes) + 1) if id is None else id)
        if id not in self.nodes:
            self.nodes[id] = Node(id, class_type, kwargs)
        return self.nodes[id]

    def lookup_node(self, id):
        return self.nodes.get(self.prefix + id)

    def finalize(self):
        return {id: node.serialize() for id, node in self.nodes.items()}


class Node:
    def __init__(self, id, class_type, inputs):
        self.id, self.class_type, self.inputs = id, class_type, inputs
        self.override_display_id = None

    def out(self, index):
        return [self.id, index]

    def set_input(self, key, value):
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key):
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id):
        self.override_display_id = override_display_id

    def serialize(self):
        out = {"class_type": self.class_type, "inputs": self.inputs}
        if self.override_display_id is not None:
            out["override_display_id"] = self.override_display_id
        return out
