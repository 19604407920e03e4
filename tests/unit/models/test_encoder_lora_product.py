"""LoRA added to the weight gives what LoRA beside it gives, forwards and backwards."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.encoder.lora import LoraLinear
from models.encoder.lora_product import AddedProduct


def made(dtype=torch.float32, bias=True):
    torch.manual_seed(0)
    base = nn.Linear(6, 5, bias=bias).to(dtype).requires_grad_(False)
    linear = LoraLinear(base, 3, 2.0)
    nn.init.normal_(linear.lora_B)
    return linear


@pytest.mark.parametrize("bias", [True, False])
def test_added_and_beside_agree(bias):
    linear = made(bias=bias)
    x = torch.randn(2, 4, 6, requires_grad=True)
    found = linear(x)
    found.square().sum().backward()
    slopes = [x.grad, linear.lora_A.grad, linear.lora_B.grad]
    x.grad = linear.lora_A.grad = linear.lora_B.grad = None
    beside = linear.base(x) + 2.0 * functional.linear(functional.linear(x, linear.lora_A), linear.lora_B)
    beside.square().sum().backward()
    torch.testing.assert_close(found, beside)
    for slope, other in zip(slopes, (x.grad, linear.lora_A.grad, linear.lora_B.grad), strict=True):
        torch.testing.assert_close(slope, other, rtol=1e-4, atol=1e-4)


def test_the_slopes_are_those_of_the_product():
    torch.manual_seed(1)
    shapes = ((3, 6), (5, 6), (5,), (2, 6), (5, 2))
    x, weight, bias, down, up = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
    for value in (x, down, up):
        value.requires_grad_()

    def product(x, down, up):
        # The class gives fp32 slopes of LoRA, as its weights are; the check wants doubles.
        return AddedProduct.apply(x, 2.0, weight, bias, down, up)

    assert torch.autograd.gradcheck(product, (x, down, up), eps=1e-5, atol=1e-3)


def test_linears_that_read_the_same_are_as_each_alone():
    torch.manual_seed(3)
    parts = [
        [
            torch.randn(out, 6),
            torch.randn(out) if bias else None,
            torch.randn(rank, 6),
            torch.randn(out, rank),
        ]
        for out, bias, rank in ((5, True, 2), (7, False, 3))
    ]
    x, *learned = (
        value.requires_grad_()
        for value in (torch.randn(2, 4, 6), *(part for four in parts for part in four[2:]))
    )
    together = AddedProduct.apply(x, 2.0, *parts[0], *parts[1])
    alone = [AddedProduct.apply(x, 2.0, *four)[0] for four in parts]
    outer = [torch.randn_like(found) for found in together]
    slopes = [
        torch.autograd.grad(sum((a * b).sum() for a, b in zip(found, outer, strict=True)), [x, *learned])
        for found in (together, alone)
    ]
    for found, other in zip([*together, *slopes[0]], [*alone, *slopes[1]], strict=True):
        torch.testing.assert_close(found, other)


def test_the_first_layer_asks_for_no_slope_of_its_input():
    linear = made()
    linear(torch.randn(4, 6)).sum().backward()
    assert (linear.lora_A.grad != 0).any()


def test_dropout_goes_into_lora_alone():
    linear = made().train()
    linear.dropout = 0.999
    x = torch.ones(1, 6)
    torch.manual_seed(4)
    torch.testing.assert_close(linear(x), linear.base(x))
