"""Diagnosis of a training: gradients, losses and experts, probed now and then.

A probe is one forward pass and a backward pass for each task on a part of a batch, in evaluation mode and before the
batch's own step. It draws no random number and changes nothing that training reads, so a training with probes and one
without are equal bit for bit.
"""

from __future__ import annotations

from bench.training.diagnosis.diagnosis import Diagnosis

__all__ = ["Diagnosis"]
