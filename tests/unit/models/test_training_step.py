"""Steps on a tiny encoder: micro-batches, full memory, decay, dropout; and a stopped fit that resumes bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.adapters.head import Pooling
from models.encoder.load import load_encoder
from models.encoder.lora import LoraLinear
from models.encoder.tokens import tokenize
from models.encoder.trunk import build_trunk, text_means
from models.encoder.tuning import Tuning
from models.scheme import MISSING
from models.training import fit as fitting
from models.training import step as stepping
from models.training.errors import TrainingRefusedError, TrainingStoppedError
from models.training.fit import Signals, fit_member, start_fit
from models.training.loss_request import Asymmetric, DistributionBalanced, Focal
from models.training.memory import MicroBatches, halving, is_out_of_memory, refusal
from models.training.reading import read_rows, text_logits
from models.training.request import TrainRequest
from models.training.state import run_state
from models.training.step import schedule, take_step, train_mode
from models.training.task import FitSettings, FitTask
from tests.tiny_encoder import arguments_scheme, synthetic_letters

ROWS = 24
PLAIN = FitSettings(
    learning_rate=0.01, epochs=2, patience=1, batch_tokens=64, tuning=Tuning(rank=4), dropout=0.0
)


def nothing(*_):
    """Listens to no event."""


SILENT = Signals(nothing, nothing, lambda: False)


@pytest.fixture(scope="module")
def trunk(encoder, tmp_path_factory):
    texts, _ = synthetic_letters(ROWS, seed=2)
    # Windows of 16 tokens: most letters have two or three.
    windows = tokenize(encoder, texts, 16, 8)
    assert np.bincount(windows.text_of).max() >= 2
    return build_trunk(encoder, windows, 1, (1, 2), tmp_path_factory.mktemp("trunk"))


@pytest.fixture(scope="module")
def task(trunk):
    labels = synthetic_letters(ROWS, seed=2)[1]
    labels[::5, 1] = MISSING
    rows = np.arange(ROWS)
    features = text_means(trunk.frozen, trunk.windows)
    return FitTask("fold0", rows[:16], rows[16:20], labels, None, features, 60.0, 7, 2, rows[20:])


@pytest.fixture
def begun(encoder, trunk, task):
    """A fit before its first step, under given settings."""
    return lambda settings=PLAIN: start_fit(encoder, trunk, arguments_scheme(), task, settings)


def weights(run):
    named = [*run.upper.named_parameters(), *run.head.named_parameters()]
    return {name: value.detach().clone() for name, value in named}


def close(first, second, **tolerance):
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, equal_nan=True, **tolerance)


@pytest.fixture(scope="module")
def exact(tiny_bert, trunk):
    """Encoder and trunk in fp32, where rounding is far below what would show a wrong sum."""
    loaded = load_encoder(tiny_bert, "cpu")
    return replace(loaded, model=loaded.model.float(), dtype=torch.float32), replace(
        trunk, dtype=torch.float32
    )


@pytest.mark.parametrize("parts", [2, 4, 100])
def test_micro_batches_give_the_step_of_the_whole_batch(exact, task, parts):
    found = []
    for accumulation in (1, parts):
        settings = replace(PLAIN, accumulation=accumulation)
        fit, run = start_fit(*exact, arguments_scheme(), task, settings)
        value = take_step(fit, run, task.fit_rows, nothing)
        named = [*run.upper.named_parameters(), *run.head.named_parameters()]
        found.append((value, {name: p.grad for name, p in named if p.grad is not None}))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    assert len(found[0][1]) > 8
    close(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pooling", list(Pooling))
def test_before_the_first_step_the_trunks_own_sums_are_read_as_a_forward_pass_would(exact, task, pooling):
    settings, rows = replace(PLAIN, pooling=pooling), task.watch_rows[::-1]
    fit, run = start_fit(*exact, arguments_scheme(), task, settings)
    train_mode(run, False)
    first = read_rows(fit, run, rows, 64)
    with torch.no_grad():
        forward = text_logits(fit, run, rows).numpy()
    # The trunk keeps activations in half precision, its sums in full.
    np.testing.assert_allclose(first, forward, atol=0.02)
    assert np.ptp(first, axis=0).min() > 0.2
    take_step(fit, run, task.fit_rows, nothing)
    run.epoch = 1
    assert np.abs(read_rows(fit, run, rows, 64) - forward).max() > 0.02


def test_activation_checkpointing_changes_nothing_but_memory(begun, task):
    runs = []
    for again in (False, True):
        fit, run = begun(replace(PLAIN, lora_dropout=0.2, dropout=0.2, activation_checkpointing=again))
        train_mode(run, True)
        torch.manual_seed(1)
        for _ in range(3):
            take_step(fit, run, task.fit_rows, nothing)
        runs.append(run)
    close(weights(runs[0]), weights(runs[1]), rtol=0, atol=0)
    assert [*dict(runs[1].upper.named_parameters())] == [*dict(runs[0].upper.named_parameters())]


def test_a_full_gpu_halves_the_micro_batch_and_repeats_the_same_step(begun, task, monkeypatch):
    """The step fails twice, once in the middle of its second part; what comes out is the step of four parts."""
    settings = replace(PLAIN, dropout=0.3, accumulation=1)
    calm_fit, calm = begun(replace(settings, accumulation=4))
    train_mode(calm, True)
    torch.manual_seed(5)
    expected = take_step(calm_fit, calm, task.fit_rows, nothing)

    real, sizes = stepping.text_logits, []

    def crowded(fit, run, rows):
        sizes.append(len(rows))
        logits = real(fit, run, rows)
        if sizes in ([16], [16, 8, 8]):
            raise torch.OutOfMemoryError("CUDA out of memory (made up)")
        return logits

    monkeypatch.setattr(stepping, "text_logits", crowded)
    events = []
    fit, run = begun(settings)
    train_mode(run, True)
    torch.manual_seed(5)
    found = take_step(fit, run, task.fit_rows, lambda *event: events.append(event))
    assert sizes == [16, 8, 8, 4, 4, 4, 4]
    assert found == expected
    close(weights(calm), weights(run), rtol=0, atol=0)
    assert events == [
        ("micro_batch_halved", {"member": "fold0", "parts": 2, "tokens": 32}),
        ("micro_batch_halved", {"member": "fold0", "parts": 4, "tokens": 16}),
    ]
    assert run_state(run)["parts"] == 4


def test_one_text_that_does_not_fit_ends_the_halving(begun, task, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory (made up)")

    monkeypatch.setattr(stepping, "text_logits", full)
    fit, run = begun()
    with pytest.raises(torch.OutOfMemoryError):
        take_step(fit, run, task.fit_rows[:2], nothing)


def test_other_errors_are_not_met_with_smaller_batches():
    def broken(_):
        raise RuntimeError("shape mismatch")

    micro = MicroBatches(1)
    with pytest.raises(RuntimeError, match="shape"):
        halving(micro, 8, broken, nothing)
    assert micro.parts == 1


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("x"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes")],
)  # fmt: skip
def test_full_memory_is_refused_with_what_would_fit(error):
    assert is_out_of_memory(error)
    request = TrainRequest(scheme={}, max_tokens=512, trained_layers=6, accumulation=2)
    found = refusal(error, request)
    assert (found.code, found.field) == ("out-of-memory", "max_tokens")
    for words in ("max_tokens 256 (now 512)", "trained_layers 3 (now 6)", "accumulation 4", "checkpointing"):
        assert words in str(found)
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


def test_weight_decay_is_for_matrices_only(begun):
    groups = begun(replace(PLAIN, weight_decay=0.5))[1].optimizer.param_groups
    assert {group["weight_decay"] for group in groups} == {0.0, 0.5}
    for group in groups:
        assert all((value.ndim > 1) == (group["weight_decay"] == 0.5) for value in group["params"])


def test_decay_pulls_weights_towards_zero(begun, task):
    norms = []
    for decay in (0.0, 0.9):
        fit, run = begun(replace(PLAIN, weight_decay=decay))
        take_step(fit, run, task.fit_rows, nothing)
        norms.append(float(run.head.linear.weight.detach().norm()))
    assert norms[1] < norms[0]


def test_dropout_of_lora_is_on_in_training_and_off_when_read(begun, task):
    fit, run = begun(replace(PLAIN, lora_dropout=0.5))
    for module in run.upper.modules():
        if isinstance(module, LoraLinear):
            torch.nn.init.normal_(module.lora_B)

    def read():
        with torch.no_grad():
            return stepping.text_logits(fit, run, task.fit_rows)

    train_mode(run, True)
    assert not torch.equal(read(), read())
    train_mode(run, False)
    assert torch.equal(read(), read())


def test_the_rate_rises_over_the_warm_up_and_falls_to_zero():
    rates = [schedule(step, 100, 0.1) for step in range(101)]
    assert np.argmax(rates) == 10
    assert np.all(np.diff(rates[:10]) > 0)
    assert np.all(np.diff(rates[10:]) < 0)
    assert rates[-1] == 0
    assert schedule(0, 10, 0.0) == 0.5


OPTIONS = {
    "plain": {},
    "focal": {"loss": Focal()},
    "asymmetric": {"loss": Asymmetric()},
    "distribution balanced": {"loss": DistributionBalanced()},
    "max": {"pooling": Pooling.MAX},
    "attention": {"pooling": Pooling.ATTENTION},
    "decay and dropout": {"weight_decay": 0.1, "dropout": 0.3, "lora_dropout": 0.3, "warm_up": 0.5},
    "small steps": {"accumulation": 3, "activation_checkpointing": True, "dropout": 0.2},
    "patience": {"patience": 2, "batch_tokens": 96},
}


class StopAtStep:
    """Says stop when so many steps were asked about."""

    def __init__(self, steps):
        self.left = steps

    def __call__(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("name", OPTIONS)
def test_a_fit_stopped_in_the_middle_of_an_epoch_resumes_bit_for_bit(encoder, trunk, task, tmp_path, name):
    settings = replace(PLAIN, **OPTIONS[name])
    given = (encoder, trunk, arguments_scheme(), task, settings)
    whole = fit_member(*given, tmp_path / "whole.pt", SILENT)
    stops = 0
    for steps in (1, 2, 1, 3, 100):
        try:
            found = fit_member(*given, tmp_path / "parts.pt", Signals(nothing, nothing, StopAtStep(steps)))
        except TrainingStoppedError:
            stops += 1
            torch.manual_seed(stops)
    assert stops == 4
    assert found.best_epoch == whole.best_epoch
    close(whole.upper, found.upper, rtol=0, atol=0)
    close(whole.head, found.head, rtol=0, atol=0)
    np.testing.assert_array_equal(whole.watched, found.watched)
    timeless = [[{k: v for k, v in entry.items() if k != "seconds"} for entry in part.history] for part in (whole, found)]  # fmt: skip
    assert timeless[0] == timeless[1]


def test_watched_rows_are_read_after_every_epoch_and_change_nothing(encoder, trunk, task, tmp_path):
    given = (encoder, trunk, arguments_scheme())
    watched = fit_member(*given, task, PLAIN, tmp_path / "a.pt", SILENT)
    alone = fit_member(*given, replace(task, watch_rows=task.fit_rows[:0]), PLAIN, tmp_path / "b.pt", SILENT)
    assert watched.watched.shape == (len(watched.history), 4, 3)
    assert [entry["epoch"] for entry in watched.history] == list(range(len(watched.history)))
    assert np.ptp(watched.watched.astype(np.float32), axis=0).max() > 0
    close(alone.upper, watched.upper, rtol=0, atol=0)


def test_a_halved_micro_batch_stays_halved_after_a_restart(encoder, trunk, task, tmp_path, monkeypatch):
    real, failed = stepping.text_logits, []

    def crowded(fit, run, rows):
        if len(rows) > 2:
            failed.append(len(rows))
            raise torch.OutOfMemoryError("CUDA out of memory (made up)")
        return real(fit, run, rows)

    monkeypatch.setattr(stepping, "text_logits", crowded)
    one_step = replace(PLAIN, batch_tokens=1000, patience=2)
    given = (encoder, trunk, arguments_scheme(), task, one_step, tmp_path / "fit.pt")
    with pytest.raises(TrainingStoppedError):
        fit_member(*given, Signals(nothing, nothing, StopAtStep(1)))
    assert failed == [16, 8, 4]
    fit_member(*given, SILENT)
    assert failed == [16, 8, 4]


def test_a_long_epoch_is_kept_in_the_middle(encoder, trunk, task, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", -1.0)
    events = []
    signals = Signals(nothing, nothing, lambda: False, lambda *event: events.append(event))
    fit_member(encoder, trunk, arguments_scheme(), task, PLAIN, tmp_path / "fit.pt", signals)
    assert ("checkpoint", {"member": "fold0", "complete": False, "epoch": 0, "step": 1}) in events


def test_a_loss_that_is_no_number_is_refused(encoder, trunk, task, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "take_step", lambda *_: float("nan"))
    with pytest.raises(TrainingRefusedError, match="lower learning_rate") as refused:
        fit_member(encoder, trunk, arguments_scheme(), task, PLAIN, tmp_path / "fit.pt", SILENT)
    assert refused.value.code == "training-diverged"
