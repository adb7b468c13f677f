"""Metric families as data: made here, sent between workers, merged, and put into text."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

PREFIX = "standby_ci_"

WORKER = "worker"
"""The label of what one process counts: its number among those of a server, from 1."""

_CREATED = "_created"


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One line of the text."""

    name: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, frozen=True, array_like=True):
    """One metric and all of its samples. ``kind``: ``counter``, ``gauge``, ``histogram``."""

    name: str
    help: str
    kind: str
    samples: tuple[Sample, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Family, ...])


def encode(families: Sequence[Family]) -> bytes:
    """Return families as they go to another process."""
    return _encoder.encode(tuple(families))


def decode(data: bytes) -> tuple[Family, ...]:
    """Return families that came from another process. Raises ``msgspec.DecodeError``."""
    return _decoder.decode(data)


def families_of(registry: CollectorRegistry, worker: str) -> list[Family]:
    """Return what a registry holds, labelled with the worker that counted it."""
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            tuple(
                Sample(sample.name, {**sample.labels, WORKER: worker}, float(sample.value))
                for sample in metric.samples
                # When a series began says a scraper nothing that its first sample does not.
                if not sample.name.endswith(_CREATED)
            ),
        )
        for metric in registry.collect()
    ]


def render(families: Iterable[Family], accept: str) -> tuple[bytes, str]:
    """Return families as text in the format that ``accept`` asks for, and its media type."""
    merged: dict[str, Metric] = {}
    for family in families:
        metric = merged.setdefault(family.name, Metric(family.name, family.help, family.kind))
        for sample in family.samples:
            metric.add_sample(sample.name, sample.labels, sample.value)
    encoder, content_type = choose_encoder(accept)
    text: bytes = encoder(_Merged(list(merged.values())))
    return text, content_type


class _Merged(CollectorRegistry):
    """Families that were collected already, as an encoder wants them."""

    def __init__(self, metrics: list[Metric]) -> None:
        super().__init__()
        self._metrics = metrics

    def collect(self) -> Any:  # noqa: ANN401 -- as the library has it
        return iter(self._metrics)
