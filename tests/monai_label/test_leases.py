"""Who has which study."""

from __future__ import annotations

from threading import Thread

from mednoisy.monai_label.leases import Leases


def test_no_study_goes_to_two_clients_however_many_ask_at_once(place):
    leases, given = Leases(place, 60), []
    names = [f"s{number}" for number in range(20)]
    threads = [Thread(target=lambda client=f"c{n}": given.append(leases.take_first(client, names))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == sorted(names)
    assert leases.take_first("late", names) is None


def test_leases_run_out_are_renewed_and_outlive_the_server(place):
    time = [1000.0]
    leases = Leases(place, 1, now=lambda: time[0])
    assert leases.take_first("x", ["a", "b"]) == "a"
    time[0] += 59
    again = Leases(place, 1, now=lambda: time[0])
    assert again.away() == {"a": "x"}
    assert again.of("x", ["a", "b"]) == "a"
    again.renew("x", "a")
    time[0] += 59
    assert again.take_first("y", ["a", "b"]) == "b"
    time[0] += 2
    assert again.away() == {"b": "y"}
    assert again.take_first("z", ["a", "b"]) == "a"


def test_a_saved_label_ends_its_lease(place):
    leases = Leases(place, 60)
    leases.take_first("x", ["a"])
    leases.end("a")
    leases.end("never away")
    assert leases.away() == {}
