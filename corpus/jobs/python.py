# SPDX-License-Identifier: MIT
"""Dicts, strings, JSON, sorting and objects with cycles, in rounds that keep some of what they made."""
import gc
import json
import random

random.seed(7)


class Node:
    def __init__(self, name, parent):
        self.name, self.parent, self.children = name, parent, []
        if parent:
            parent.children.append(self)


kept = {}
for turn in range(3):
    rows = [{"id": i, "name": f"row {i} of {turn}", "v": [random.random() for _ in range(5)]} for i in range(900)]
    text = json.dumps(rows, indent=1)
    back = json.loads(text)
    by_name = {row["name"]: row for row in back}
    for name in random.sample(sorted(by_name), 150):
        kept[name] = by_name[name]
    words = text.replace('"', " ").split()
    words.sort(key=lambda word: (len(word), word))
    root = Node("root", None)
    nodes = [root]
    for i in range(1500):
        nodes.append(Node(f"node {i}", random.choice(nodes)))
    del root, nodes
    gc.collect()
    joined = ",".join(words[:3000])
print(len(kept), len(joined))
