"""Stopping at a safe point."""

import os
import signal
import threading

import pytest

from hetal.errors import Stopped
from hetal.machine.signals import SafeStop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_next_safe_point(number, capfd):
    before = signal.getsignal(number)
    with SafeStop() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        with pytest.raises(Stopped) as caught:
            stop.check()
        assert caught.value.signal == number
    assert signal.getsignal(number) == before
    assert "stopping after this epoch" in capfd.readouterr().err


def test_a_second_signal_stops_at_once():
    with SafeStop():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_handler_of_someone_else_stays(monkeypatch):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with SafeStop() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            stop.check()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_another_thread_has_no_signals_and_needs_none():
    done = []

    def work():
        with SafeStop() as stop:
            stop.check()
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


def test_another_reason_is_asked_once_a_second(monkeypatch):
    now, asked = [0.0], []
    monkeypatch.setattr("hetal.machine.signals.time.monotonic", lambda: now[0])
    with SafeStop(should_stop=lambda: asked.append(now[0]) or len(asked) > 1) as stop:
        for now[0] in (0.1, 0.9, 1.0, 1.5):
            stop.check()
        assert asked == [1.0]
        now[0] = 2.0
        with pytest.raises(Stopped) as caught:
            stop.check()
        assert caught.value.signal is None
