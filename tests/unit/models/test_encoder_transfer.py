"""Arrays on their way to a device and back."""

import numpy as np
import torch

from models.encoder.transfer import to_device, to_host


def test_arrays_and_tensors_keep_values_and_types():
    for array in (np.arange(6).reshape(2, 3), np.array([True, False]), np.zeros((0, 4), np.float32)):
        there = to_device(array, "cpu")
        assert there.device.type == "cpu"
        (back,) = to_host([there])()
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


def test_several_come_back_in_their_order():
    first, second = to_host([torch.ones(2), torch.zeros(3)])()
    assert (first.tolist(), second.tolist()) == ([1, 1], [0, 0, 0])
    assert to_host([])() == []
