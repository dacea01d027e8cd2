"""The pretended CUDA device itself: what is wrong on CUDA is caught, whatever the version of torch, and only that."""

import contextlib
import copy
import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.pretend_cuda import Mixed, pretend

# Some snippets are not repeatable on a CPU either.
pytestmark = pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation")

CPU = torch.arange(12.0).reshape(4, 3)
ROWS = torch.tensor([1, 0])


class Given:
    """Tensors on the device: floats (4, 3), rows (2,), labels (4,), a mask (4,); and a generator of the CPU."""

    def __init__(self):
        self.x = torch.empty(4, 3, device="cuda").copy_(CPU)
        self.rows = torch.empty(2, dtype=torch.long, device="cuda").copy_(ROWS)
        self.y = torch.zeros(4, dtype=torch.long, device="cuda")
        self.mask = self.x[:, 0] > 2
        self.images = torch.ones(2, 1, 4, 4, device="cuda").requires_grad_()
        self.grid = torch.zeros(2, 2, 2, 2, device="cuda")
        self.rng = torch.Generator()


@pytest.fixture
def device():
    with pretend() as device:
        yield device


MIXED = {
    "add": lambda g: g.x + CPU,
    "add in place": lambda g: g.x.add_(CPU),
    "to a CPU tensor": lambda g: CPU.clone().add_(g.x),
    "out": lambda g: torch.add(g.x, g.x, out=torch.empty(4, 3)),
    "product": lambda g: g.x @ CPU.T,
    "linear": lambda g: nn.Linear(3, 2)(g.x),
    "index of a CPU tensor": lambda g: CPU[g.rows],
    "index_select": lambda g: g.x.index_select(0, ROWS),
    "gather": lambda g: g.x.gather(0, ROWS[None]),
    "index_put": lambda g: g.x.index_put_((g.rows,), CPU[:2]),
    "index_add": lambda g: g.x.index_add_(0, ROWS, g.x[:2]),
    "cat": lambda g: torch.cat([g.x, CPU]),
    "stack of scalars": lambda g: torch.stack([g.x.sum(), CPU.sum()]),
    "where": lambda g: torch.where(g.x > 0, g.x, CPU),
    "masked_fill": lambda g: g.x.masked_fill(CPU > 0, 0.0),
    "loss": lambda g: F.cross_entropy(g.x, torch.zeros(4, dtype=torch.long)),
    "class weights": lambda g: F.cross_entropy(g.x, g.y, weight=torch.ones(3)),
    "batch norm": lambda g: F.batch_norm(g.x, torch.zeros(3), torch.ones(3), training=True),
    "searchsorted": lambda g: torch.searchsorted(g.x[0], CPU[0]),
    "isin": lambda g: torch.isin(g.x, CPU),
    "equal": lambda g: torch.equal(g.x, CPU),
    "minimum": lambda g: torch.minimum(g.x, CPU),
    "lists": lambda g: torch._foreach_add_([g.x], [CPU]),
    "fused Adam": lambda g: adam_step(g, torch.ones(4, 3)),
    "fused Adam, another layout": lambda g: adam_step(g, torch.ones(3, 4, device="cuda").T),
    "rand": lambda g: torch.rand(3, device="cuda", generator=g.rng),
    "randperm": lambda g: torch.randperm(3, device="cuda", generator=g.rng),
    "uniform_": lambda g: g.x.uniform_(generator=g.rng),
    "bernoulli": lambda g: torch.bernoulli(g.x.sigmoid(), generator=g.rng),
    "multinomial": lambda g: torch.multinomial(g.x[1], 2, generator=g.rng),
    "a mask under vmap": lambda g: torch.func.vmap(lambda row: row * torch.ones(3))(g.x),
}

WAITS = {
    "item": (1, lambda g: g.x.sum().item()),
    "float": (1, lambda g: float(g.x[0, 0])),
    "int": (1, lambda g: int(g.y[0])),
    "bool": (1, lambda g: bool(g.mask.any())),
    "if": (1, lambda g: 1 if g.x.sum() > 0 else 0),
    "in": (1, lambda g: 5 in g.x),
    "tolist": (1, lambda g: g.x.tolist()),
    "cpu": (1, lambda g: g.x.cpu()),
    "to cpu": (1, lambda g: g.x.to("cpu", torch.float64)),
    "nonzero": (1, lambda g: g.mask.nonzero()),
    "where alone": (1, lambda g: torch.where(g.mask)),
    "a mask": (1, lambda g: g.x[g.mask]),
    "a mask that is assigned to": (1, lambda g: g.x.__setitem__(g.mask, g.x[0] * 1)),
    "masked_select": (1, lambda g: g.x.masked_select(g.x > 1)),
    "unique": (1, lambda g: g.y.unique()),
    "unique_consecutive": (1, lambda g: g.y.unique_consecutive()),
    "repeat_interleave": (1, lambda g: g.x[:2].repeat_interleave(g.rows, dim=0)),
    "bincount": (2, lambda g: torch.bincount(g.y)),
    "multinomial": (2, lambda g: torch.multinomial(g.x[1], 2)),
    "one_hot": (1, lambda g: F.one_hot(g.y)),
    "equal": (1, lambda g: torch.equal(g.x, g.x)),
    "allclose": (1, lambda g: torch.allclose(g.x, g.x)),
    "cholesky": (1, lambda g: torch.linalg.cholesky(g.x.T @ g.x + 99 * torch.eye(3, device="cuda"))),
    "inverse": (1, lambda g: torch.linalg.inv(torch.eye(3, device="cuda"))),
    "eigh": (1, lambda g: torch.linalg.eigh(torch.eye(3, device="cuda"))),
    "a long isin": (2, lambda g: torch.isin(g.y, torch.arange(99, device="cuda"))),
    "a scalar as a number": (1, lambda g: torch.full((2,), g.x[0, 0])),
    "a scalar as an index": (1, lambda g: g.x[g.y[0]]),
    "an index from the CPU": (1, lambda g: g.x[ROWS]),
    "an index that is a list": (1, lambda g: g.x[[0, 1]]),
    "tensor": (1, lambda g: torch.tensor([1.0, 2.0], device="cuda")),
    "a copy up": (1, lambda g: CPU.to("cuda")),
    "cuda": (1, lambda g: CPU.cuda()),
    "a copy up, not pinned": (1, lambda g: CPU.to("cuda", non_blocking=True)),
    "a copy up, pinned": (1, lambda g: CPU.pin_memory().to("cuda")),
    "a copy up, pinned but not dense": (1, lambda g: CPU.pin_memory()[:, :2].to("cuda", non_blocking=True)),
    "copy_ up": (1, lambda g: g.x.copy_(CPU)),
    "copy_ down": (1, lambda g: torch.empty(4, 3).copy_(g.x)),
    "copy_ down, not pinned": (1, lambda g: torch.empty(4, 3).copy_(g.x, non_blocking=True)),
    "save": (1, lambda g: torch.save(g.x, io.BytesIO())),
    "synchronize": (1, lambda g: torch.cuda.synchronize()),
    "Event.synchronize": (1, lambda g: torch.cuda.Event().synchronize()),
    "Stream.synchronize": (1, lambda g: torch.cuda.current_stream().synchronize()),
}

UNREPEATABLE = {
    "cumsum": lambda g: g.x.cumsum(0),
    "cumsum of integers as floats": lambda g: g.y.cumsum(0, dtype=torch.float64),
    "bincount with weights": lambda g: torch.bincount(g.y, g.x[:, 0]),
    "histc": lambda g: g.x.histc(4, 0, 1),
    "median": lambda g: g.x.median(0),
    "kthvalue": lambda g: g.x.kthvalue(1),
    "put_": lambda g: g.x.put_(g.rows, g.x[0, :2] * 1),
    "grid_sample": lambda g: F.grid_sample(g.images, g.grid, align_corners=True).sum().backward(),
    "adaptive pooling": lambda g: F.adaptive_avg_pool2d(g.images, 3).sum().backward(),
    "overlapping pooling": lambda g: F.max_pool2d(g.images, 3, 1).sum().backward(),
    "reflection": lambda g: F.pad(g.images, (1, 1, 1, 1), mode="reflect").sum().backward(),
    "loss of images": lambda g: F.nll_loss(g.images, torch.zeros(2, 4, 4, dtype=torch.long, device="cuda")),
    "product by scatter": lambda g: g.x.scatter_reduce(0, g.y[None, :3], g.x, "prod"),
}

# Repeatable where torch is told to.
IF_TOLD = {
    "index_add": lambda g: g.x.index_add_(0, g.rows, g.x[:2] * 1),
    "replication": lambda g: F.pad(g.images, (1, 1, 1, 1), mode="replicate").sum().backward(),
    "interpolate": lambda g: F.interpolate(g.images, 8, mode="bilinear").sum().backward(),
    "scatter_add": lambda g: g.x.scatter_add_(0, g.y[None, :3], g.x * 1),
    "index_put": lambda g: g.x.index_put_((g.rows,), g.x[:2] * 1, accumulate=True),
    "embedding": lambda g: F.embedding(g.rows, g.x.requires_grad_()).sum().backward(),
    "gradient of an index": lambda g: g.x.requires_grad_()[g.rows].sum().backward(),
    "sum by scatter": lambda g: g.x.scatter_reduce(0, g.y[None, :3], g.x, "sum"),
}

FINE = {
    "arithmetic": lambda g: (g.x * 2 + g.x.sum()).softmax(1),
    "a scalar of the CPU": lambda g: (g.x + torch.tensor(1.0)).mul_(torch.tensor(2.0)),
    "indices": lambda g: g.x[g.rows].index_select(0, g.rows)[:, None],
    "a mask filled with a number": lambda g: g.x.__setitem__(g.mask, 0.0),
    "where": lambda g: torch.where(g.mask[:, None], g.x, 0.0),
    "sum of integers": lambda g: (g.y.cumsum(0), g.y.scatter_add(0, g.y, g.y)),
    "repeat_interleave of known size": lambda g: g.x.repeat_interleave(g.y + 1, dim=0, output_size=4),
    "quantile": lambda g: g.x.quantile(0.5),
    "one_hot of known size": lambda g: F.one_hot(g.y, 3),
    "creation": lambda g: (torch.zeros(2, device="cuda"), torch.full((2,), 3.0, device="cuda:0"), g.x.new_ones(2)),
    "draws": lambda g: (torch.randn(2, device="cuda"), g.x.uniform_(), torch.multinomial(g.x[1], 2, True)),
    "a copy up": lambda g: CPU.pin_memory().to("cuda", non_blocking=True),
    "a copy down": lambda g: torch.empty(4, 3, pin_memory=True).copy_(g.x, non_blocking=True),
    "a copy down that to makes": lambda g: g.x.to("cpu", non_blocking=True),
    "another type": lambda g: g.x.to(torch.float64).to("cuda"),
    "sorting": lambda g: (g.x.sort(stable=True), g.x.topk(2), g.x.argmax(1)),
    "layers": lambda g: F.cross_entropy(F.dropout(nn.Linear(3, 3, device="cuda")(g.x)), g.y).backward(),
    "pooling": lambda g: F.adaptive_avg_pool2d(F.max_pool2d(g.images, 2), 1).sum().backward(),
    "half precision": lambda g: half_precision(g),
    "a copy of a network": lambda g: copy.deepcopy(nn.Linear(3, 3, device="cuda")),
    "vmap": lambda g: torch.func.vmap(F.dropout, randomness="same")(g.x),
    "vmap of networks": lambda g: torch.func.vmap(F.dropout, randomness="different")(g.x),
    "a short isin": lambda g: torch.isin(g.y, g.rows),
}  # fmt: skip


def adam_step(g, gradient):
    from torch.optim.adam import adam

    lists = [[torch.zeros_like(g.x)] for _ in range(2)]
    settings = {"beta1": 0.9, "beta2": 0.9, "lr": 0.1, "weight_decay": 0, "eps": 1e-8}
    steps = [torch.zeros((), device="cuda")]
    adam([g.x], [gradient], *lists, [], steps, fused=True, amsgrad=False, maximize=False, **settings)


def half_precision(g):
    with torch.autocast("cuda", torch.bfloat16):
        product = g.x @ g.x.T
    assert product.dtype == torch.bfloat16


@pytest.mark.parametrize("name", MIXED)
def test_refuses_what_mixes_devices(device, name):
    given = Given()
    with pytest.raises(Mixed, match=f"test_pretend_cuda.py:{line_of(MIXED[name])}|adam"):
        MIXED[name](given)
    assert len(device.notes.mixed) == 1


@pytest.mark.parametrize("name", WAITS)
def test_counts_every_wait_with_its_line(device, name):
    times, snippet = WAITS[name]
    given = Given()
    with device.notes.only() as part:
        snippet(given)
    assert {place: n for (place, _), n in part.syncs.items()} == {
        f"tests/test_pretend_cuda.py:{line_of(snippet)}": times
    }


@pytest.mark.parametrize("name", UNREPEATABLE)
def test_notes_what_does_not_repeat(device, name):
    torch.set_deterministic_debug_mode("warn")
    UNREPEATABLE[name](Given())
    assert [place for place, _ in device.notes.unrepeatable] == [
        f"tests/test_pretend_cuda.py:{line_of(UNREPEATABLE[name])}"
    ]


@pytest.mark.parametrize("name", IF_TOLD)
@pytest.mark.parametrize("told", [False, True])
def test_notes_what_repeats_only_where_torch_is_told_to(device, name, told):
    torch.set_deterministic_debug_mode("warn" if told else "default")
    IF_TOLD[name](Given())
    assert (len(device.notes.unrepeatable), len(device.notes.slower)) == (not told, told)


@pytest.mark.parametrize("name", FINE)
def test_says_nothing_of_what_is_fine(device, name):
    torch.set_deterministic_debug_mode("warn")
    given = Given()
    with device.notes.only() as part:
        FINE[name](given)
    assert not part.syncs
    assert not device.notes.unrepeatable
    assert not device.notes.mixed


def line_of(snippet):
    return snippet.__code__.co_firstlineno


@pytest.mark.parametrize("read", [lambda x: x.numpy(), np.asarray, lambda x: x.detach().numpy()])
def test_refuses_numpy(device, read):
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        read(Given().x)
    assert device.notes.mixed


def test_a_copy_that_is_not_waited_for_is_garbage_until_then(device):
    x = Given().x
    below = x.to("cpu", non_blocking=True)
    assert below.isnan().all()
    torch.cuda.current_stream().synchronize()
    assert torch.equal(below, CPU)
    assert device.notes.copied.total() == 8 * ROWS.numel() + 2 * 4 * CPU.numel()


def test_notes_a_source_that_is_overwritten_too_early(device):
    buffer = CPU.pin_memory()
    x = buffer.to("cuda", non_blocking=True)
    torch.cuda.synchronize()
    buffer.zero_()
    assert torch.equal(x.cpu(), CPU)
    assert not device.notes.races
    buffer.to("cuda", non_blocking=True)
    buffer.fill_(3)
    torch.cuda.synchronize()
    assert "tests/test_pretend_cuda.py" in device.notes.races[0]


def test_draws_from_a_generator_of_its_own(device):
    before = torch.get_rng_state()
    torch.cuda.manual_seed(3)
    a, b = torch.randn(4, device="cuda"), torch.randn(4, device="cuda")
    torch.cuda.manual_seed(3)
    assert torch.equal(torch.randn(4, device="cuda"), a)
    assert not torch.equal(a, b)
    assert torch.equal(torch.get_rng_state(), before)


def test_counts_memory_and_runs_out_of_it():
    with pretend(memory=1000) as device:
        x = torch.zeros(100, device="cuda")
        view = x[:50]
        y = x + 1
        assert (device.live, torch.cuda.max_memory_allocated()) == (800, 800)
        del y
        assert (device.live, device.peak) == (400, 800)
        with pytest.raises(torch.OutOfMemoryError):
            torch.zeros(151, device="cuda")
        del x
        assert device.live == 400
        del view
        assert device.live == 0


def test_a_network_that_moves_keeps_its_parameters(device):
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))
    network[2].weight = network[0].weight
    parameters, x = [*network.parameters()], torch.randn(4, 3)
    expected = copy.deepcopy(network)
    expected(x).sum().backward()
    network.to("cuda")(x.to("cuda")).sum().backward()
    assert network[2].weight is network[0].weight is parameters[0]
    assert all(isinstance(p, nn.Parameter) and p.is_cuda and p.is_leaf for p in network.parameters())
    assert network[1].running_mean.is_cuda
    assert torch.equal(parameters[0].grad.cpu(), expected[0].weight.grad)
    network.zero_grad()
    network.to("cpu")
    assert not any(p.is_cuda for p in [*network.parameters(), *network.buffers()])
    assert network[2].weight is parameters[0]


def test_launches_are_counted_and_views_are_none(device):
    x = Given().x
    with device.notes.only() as part:
        x.T[1:].view(-1, 2, 2).add_(1).sum()
    assert part.launches == {"add_": 1, "sum": 1}


def test_is_over_at_its_end():
    was = torch.cuda.is_available(), torch.cuda.CUDAGraph, torch.inference_mode.__enter__
    with pretend():
        torch.set_deterministic_debug_mode("error")
        assert torch.cuda.is_available()
    assert was == (torch.cuda.is_available(), torch.cuda.CUDAGraph, torch.inference_mode.__enter__)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_rng_state().device.type == torch.zeros(1).device.type == "cpu"


def network_and_optimizer(where, rate):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)).to(where)
    given = {"capturable": True} if where == "cuda" else {}
    return network, torch.optim.Adam(network.parameters(), lr=rate, fused=True, **given)


def step(network, optimizer, x, y):
    loss = F.cross_entropy(network(x), y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss


def test_a_captured_training_step_equals_the_eager_one(device):
    batches = [(CPU + i, (torch.arange(4) + i) % 3) for i in range(3)]
    plain, plain_optimizer = network_and_optimizer("cpu", 0.1)
    losses = [step(plain, plain_optimizer, x, y).item() for x, y in batches]

    rate = torch.tensor(0.1, device="cuda")  # so that it may change between replays
    network, optimizer = network_and_optimizer("cuda", rate)
    x, y = Given().x, Given().y
    begin = copy.deepcopy(network.state_dict())
    step(network, optimizer, x, y)  # makes the optimizer's state
    network.load_state_dict(begin)
    for state in optimizer.state.values():
        for tensor in state.values():
            tensor.zero_()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step(network, optimizer, x, y)
    assert loss.isnan()  # nothing has been computed
    assert all(torch.equal(now, begin[key]) for key, now in network.state_dict().items())
    with device.notes.only() as part:
        for batch, expected in zip(batches, losses, strict=True):
            x.copy_(batch[0])
            y.copy_(batch[1])
            graph.replay()
            assert loss.item() == expected
    assert part.launches["graph"] == 3
    assert graph.n_operations > 10
    for mine, its in zip(network.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(mine.cpu(), its)
    rate.zero_()
    weights = network[0].weight.cpu()
    graph.replay()
    assert torch.equal(network[0].weight.cpu(), weights)


NOT_IN_A_CAPTURE = {
    "item": lambda g: g.x.sum().item(),
    "cpu": lambda g: g.x.cpu(),
    "a mask": lambda g: g.x[g.mask],
    "a copy up": lambda g: g.x.copy_(CPU),
    "a copy up, pinned but waited for": lambda g: g.x.copy_(CPU.pin_memory()),
    "tensor": lambda g: torch.tensor(1.0, device="cuda"),
    "synchronize": lambda g: torch.cuda.synchronize(),
    "seeding": lambda g: torch.cuda.manual_seed(1),
    "a replay": lambda g: g.graph.replay(),
    "another capture": lambda g: torch.cuda.graph(torch.cuda.CUDAGraph()).__enter__(),
}


@pytest.mark.parametrize("name", NOT_IN_A_CAPTURE)
def test_what_waits_cannot_be_captured(device, name):
    given = Given()
    given.graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(given.graph):
        given.x.add_(1)
    graph = torch.cuda.CUDAGraph()
    with (
        pytest.raises(RuntimeError, match="previous error during capture") as raised,
        torch.cuda.graph(graph),
    ):
        NOT_IN_A_CAPTURE[name](given)
    assert "not permitted when stream is capturing" in str(raised.value.__context__)
    torch.cuda.set_stream(torch.cuda.default_stream())
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        graph.replay()
    assert not torch.cuda.is_current_stream_capturing()
    assert torch.equal(given.x.cpu(), CPU)


def test_an_error_that_was_swallowed_still_ends_the_capture(device):
    x = Given().x

    def captured():
        with torch.cuda.graph(torch.cuda.CUDAGraph()):
            with contextlib.suppress(RuntimeError):
                x.sum().item()
            x.add_(1)

    with pytest.raises(RuntimeError, match="previous error during capture"):
        captured()


def test_a_replay_uses_the_same_memory_and_the_same_numbers(device):
    given, graph, factor, buffer = Given(), torch.cuda.CUDAGraph(), 2.0, CPU[:2].pin_memory()
    x, total, scale = given.x, torch.zeros((), device="cuda"), torch.ones(())
    with torch.cuda.graph(graph):
        x[:2].copy_(buffer, non_blocking=True)
        doubled = x * factor
        total += doubled.sum() * scale
        noise = torch.rand(3, device="cuda")
    factor = scale.fill_(5.0)
    assert factor == 5.0
    assert doubled.isnan().all()
    buffer.fill_(1.0)
    graph.replay()
    first = noise.cpu()
    assert float(total) == 2 * (6 + float(CPU[2:].sum()))
    given.x = x + 100  # another tensor
    graph.replay()
    assert float(total) == 4 * (6 + float(CPU[2:].sum()))
    assert not torch.equal(noise.cpu(), first)


def test_a_graph_must_not_outlive_what_it_reads(device):
    graph, x = torch.cuda.CUDAGraph(), Given().x
    with torch.cuda.graph(graph):
        result = x + 1
    graph.replay()
    assert torch.equal(result.cpu(), CPU + 1)
    del x
    with pytest.raises(RuntimeError, match="is gone"):
        graph.replay()
