"""A network's graph, rewritten so that wide activations are seen only by what can take them tile by tile.

A pointwise convolution of a concatenation is the sum of its parts' pointwise convolutions; two pointwise convolutions
in a row are one. What then stands as *last* -> norm -> activation -> *first* becomes a `FusedBlock`. All is exact.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...decomposition.tucker import CONVOLUTIONS
from .compiled.winograd import Winograd, suits_winograd
from .convolution import OneDnn, suits_onednn
from .fused_block import FusedBlock, WideNorm
from .pointwise import (
    composed,
    composed_with_transposed,
    followed_by_identity,
    is_identity,
    is_pointwise,
    pointwise,
    without_bias,
)
from .sliced_block import SlicedBlock
from .tracing import traced
from .upsampling import Upsampling, leaves_no_overlap

_NORMS = (nn.InstanceNorm2d, nn.InstanceNorm3d)
_ACTIVATIONS = (nn.LeakyReLU, nn.ReLU)
Node = Any
"""A `torch.fx.Node`; its own annotations leave open what its arguments are."""

_WORTH_A_PASS = 1.5
"""Times the multiply-adds that it may take to spare one reading and writing of an activation."""

_WIDER = 4
_QUICK = 64
"""Multiply-adds for each number of its answer."""

_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Dropout3d)


def rewritten(network: nn.Module) -> fx.GraphModule:
    """The same function as `network`, which is in evaluation mode; its weights are shared where they stay.

    Raises:
        Exception: whatever torch.fx raises where a network's course depends on its input.
    """
    graph = _Graph(traced(network))
    graph.make_pointwise_neighbours()
    graph.fuse(FusedBlock)
    graph.fuse_quick(SlicedBlock)
    graph.replace_norms(WideNorm)
    graph.replace_convolutions()
    return graph.finished()


def narrowed(network: nn.Module, block: Callable[..., nn.Module], norm: Callable[..., nn.Module]) -> fx.GraphModule:
    """As `rewritten`, with other classes in the place of `FusedBlock` and `WideNorm`; convolutions stay."""
    graph = _Graph(traced(network))
    graph.make_pointwise_neighbours()
    graph.fuse(block)
    graph.drop_biases()
    graph.replace_norms(norm)
    return graph.finished()


class _Graph:
    """A traced network while it is changed."""

    def __init__(self, traced: fx.GraphModule) -> None:
        self._traced = traced
        self._made = 0

    def make_pointwise_neighbours(self) -> None:
        self.drop_what_does_nothing()
        self.drop_identities()
        self.split_concatenations()
        self.compose_pointwise()

    def drop_what_does_nothing(self) -> None:
        for node in self._calls(lambda module: isinstance(module, _NOTHING)):
            node.replace_all_uses_with(node.args[0])
            self._traced.graph.erase_node(node)

    def drop_identities(self) -> None:
        """A layer whose outputs are all kept has the identity for its *last*, whose bias can be the core's."""
        for node in self._calls(is_identity):
            core = self._module(node.args[0])
            if isinstance(core, CONVOLUTIONS) and len(node.args[0].users) == 1:
                layer = followed_by_identity(core, self._module(node))
                self._replace(node, self._call(node, layer, *node.args[0].args))
        self._traced.graph.eliminate_dead_code()

    def split_concatenations(self) -> None:
        for node in self._calls(is_pointwise):
            parts = _concatenated(node.args[0])
            widths = [self._channels(part) for part in parts]
            if parts and None not in widths:
                self._split(node, parts, [width or 0 for width in widths])
        self._traced.graph.eliminate_dead_code()

    def compose_pointwise(self) -> None:
        for node in self._calls(is_pointwise):
            before = node.args[0]
            if len(before.users) != 1:
                continue
            if is_pointwise(self._module(before)):
                self._compose(before, node)
            elif leaves_no_overlap(self._module(before)):
                self._compose_transposed(before, node)

    def fuse(self, kind: Callable[..., nn.Module]) -> None:
        for node in self._calls(is_pointwise):
            norm, activation = self._followed(node)
            if activation is not None:
                self._fuse(kind, node, norm, activation)

    def fuse_quick(self, kind: Callable[..., nn.Module]) -> None:
        for node in self._calls(_is_quick):
            norm, activation = self._followed(node)
            if activation is not None and all(is_pointwise(self._module(user)) for user in activation.users):
                self._fuse(kind, node, norm, activation)

    def _followed(self, node: Node) -> tuple[Node, Node]:
        """The norm and the activation that follow; None where there are none."""
        after = _only_user(node)
        norm, activation = (after, _only_user(after)) if _is_norm(self._module(after)) else (None, after)
        return norm, activation if isinstance(self._module(activation), _ACTIVATIONS) else None

    def drop_biases(self) -> None:
        """A norm takes away what was added to all of a channel."""
        for before in [node.args[0] for node in self._calls(_is_norm)]:
            layer = self._module(before)
            if isinstance(layer, CONVOLUTIONS) and layer.bias is not None and len(before.users) == 1:
                self._replace(before, self._call(before, without_bias(layer), *before.args))

    def replace_norms(self, kind: Callable[..., nn.Module]) -> None:
        for node in self._calls(_is_norm):
            before, activation = node.args[0], _only_user(node)
            leaky = isinstance(self._module(activation), _ACTIVATIONS)
            slope = _slope(self._module(activation)) if leaky else 1.0
            alone = len(before.users) == 1 and before.op == "call_module"
            end = activation if leaky else node
            end.replace_all_uses_with(self._call(node, kind(self._module(node), slope, alone), before))
            for done in dict.fromkeys((end, node)):
                self._traced.graph.erase_node(done)

    def replace_convolutions(self) -> None:
        for node in self._calls(_widens):
            self._replace(node, self._alone(node, FusedBlock))
        for node in self._calls(leaves_no_overlap):
            self._upsample(node)
        for node in self._calls(lambda module: suits_winograd(module) or suits_onednn(module)):
            self._replace(node, self._fast(node))

    def finished(self) -> fx.GraphModule:
        self._traced.graph.eliminate_dead_code()
        self._traced.delete_all_unused_submodules()
        self._traced.graph.lint()
        self._traced.recompile()
        return self._traced

    def _split(self, node: Node, parts: list[Node], widths: list[int]) -> None:
        layer = self._module(node)
        weights = layer.weight.detach().split(widths, 1)
        nodes = [
            self._call(node, pointwise(layer, weight, layer.bias if index == 0 else None), part)
            for index, (weight, part) in enumerate(zip(weights, parts, strict=True))
        ]
        total = nodes[0]
        with self._traced.graph.inserting_before(node):
            for part in nodes[1:]:
                total = self._traced.graph.call_function(_added, (total, part))
        self._replace(node, total)

    def _compose(self, before: Node, node: Node) -> None:
        inner, outer = self._module(before), self._module(node)
        if inner.in_channels * outer.out_channels > inner.weight.numel() + outer.weight.numel():
            return
        self._replace(node, self._call(node, composed(inner, outer), before.args[0]))
        self._traced.graph.erase_node(before)

    def _compose_transposed(self, before: Node, node: Node) -> None:
        """A transposed convolution and a pointwise one after it become one, where that is little more work."""
        inner, outer = self._module(before), self._module(node)
        apart = outer.weight.numel() + inner.in_channels * inner.out_channels
        if inner.in_channels * outer.out_channels > _WORTH_A_PASS * apart:
            return
        self._replace(node, self._call(node, composed_with_transposed(inner, outer), before.args[0]))
        self._traced.graph.erase_node(before)

    def _upsample(self, node: Node) -> None:
        """Added to the other part of a concatenation, where it is one's part."""
        layer, total = Upsampling(self._module(node)), _only_user(node)
        if total is None or total.target is not _added:
            self._replace(node, self._call(node, layer, node.args[0]))
            return
        (other,) = (part for part in total.args if part is not node)
        self._replace(total, self._call(total, layer, node.args[0], other))
        self._traced.graph.erase_node(node)

    def _fuse(self, kind: Callable[..., nn.Module], last: Node, norm: Node, activation: Node) -> None:
        users = list(activation.users)
        narrow = [user for user in users if is_pointwise(self._module(user))]
        others = [user for user in users if user not in narrow]
        consumers = [self._module(user) for user in narrow] + ([None] if others else [])
        block = kind(self._module(last), self._module(norm), _slope(self._module(activation)), consumers)
        node = self._call(activation, block, last.args[0])
        for index, user in enumerate([*narrow, *([activation] if others else [])]):
            with self._traced.graph.inserting_after(node):
                output = self._traced.graph.call_function(operator.getitem, (node, index))
            user.replace_all_uses_with(output)
            self._traced.graph.erase_node(user)
        for node in (activation, norm, last):
            if node is not None and not node._erased:
                self._traced.graph.erase_node(node)

    def _fast(self, node: Node) -> Node:
        layer = self._module(node)
        if suits_winograd(layer):
            return self._call(node, Winograd(layer), node.args[0])
        return self._alone(node, SlicedBlock) if _is_quick(layer) else self._call(node, OneDnn(layer), node.args[0])

    def _alone(self, node: Node, kind: Callable[..., nn.Module]) -> Node:
        """The layer of `node` in a block of that kind, with nothing behind it."""
        block = self._call(node, kind(self._module(node), None, 1.0, [None]), node.args[0])
        with self._traced.graph.inserting_before(node):
            return self._traced.graph.call_function(operator.getitem, (block, 0))

    def _calls(self, wanted: Callable[[nn.Module], bool]) -> list[Node]:
        return [node for node in self._traced.graph.nodes if node.op == "call_module" and wanted(self._module(node))]

    def _module(self, node: Node) -> Any:
        if not isinstance(node, fx.Node) or node.op != "call_module":
            return None
        return self._traced.get_submodule(str(node.target))

    def _call(self, before: Node, module: nn.Module, *arguments: Node) -> Node:
        self._made += 1
        name = f"rewritten_{self._made}"
        self._traced.add_submodule(name, module)
        with self._traced.graph.inserting_before(before):
            return self._traced.graph.call_module(name, arguments)

    def _replace(self, node: Node, other: Node) -> None:
        node.replace_all_uses_with(other)
        self._traced.graph.erase_node(node)

    def _channels(self, node: Node) -> int | None:
        """What a value has of them, where the graph alone tells."""
        module = self._module(node)
        if hasattr(module, "out_channels"):
            return int(module.out_channels)
        if module is not None and node.args:
            return self._channels(node.args[0])
        return None


def _concatenated(node: Node) -> list[Node]:
    """The parts, where it is a concatenation of channels; else none."""
    if node.op != "call_function" or node.target is not torch.cat:
        return []
    parts, dimension = node.args if len(node.args) == 2 else (node.args[0], node.kwargs.get("dim", 0))
    return list(parts) if dimension == 1 else []


def _only_user(node: Node) -> Node:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_quick(module: Any) -> bool:
    """Whether it is a convolution that takes less time than to write and to read its answer."""
    return (
        suits_onednn(module)
        and not is_pointwise(module)
        and module.stride[0] == 1
        and module.weight[0].numel() <= _QUICK
    )


def _is_norm(module: Any) -> bool:
    """Whether it normalises by the statistics of what it is given."""
    return isinstance(module, _NORMS) and not module.track_running_stats


def _slope(activation: nn.Module) -> float:
    return float(getattr(activation, "negative_slope", 0.0))


def _widens(module: Any) -> bool:
    """Whether it is a pointwise convolution that is hardly more than writing its answer, such as a decomposed head."""
    return is_pointwise(module) and module.out_channels > _WIDER * module.in_channels


def _added(left: Tensor, right: Tensor) -> Tensor:
    return left.add_(right)
