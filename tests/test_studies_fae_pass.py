"""The pictures of one pass are those that the method makes."""

import numpy as np
import torch

from anomlib.methods.fae import FAE
from anomlib.studies import fae_pass as study


def test_a_training_sample_and_a_test_image(toy):
    method = FAE(width=2, blocks=1, textures="procedural", steps=1, batch=2).fit(toy.train)
    titles = dict(study.training_pass(method, toy.train[:1], None, 0, 0.1))
    x, m, x_hat, noisy, _, target = titles.values()
    assert np.allclose(x_hat[m == 0], x[m == 0])  # covered only where the mask is
    inside = (x > 0.4) & (x < 0.6) & (m == 0)[..., None]  # where nothing was cut to [0, 1]
    assert inside.any() and np.allclose((noisy - x_hat)[inside], (target - x)[inside], atol=1e-6)
    found = study.test_pass(method, toy.test[:1])
    assert np.allclose(found[-1][1], method.anomaly_map(toy.test[:1])[0])
    assert torch.equal(torch.from_numpy(found[0][1]), toy.test[0].permute(1, 2, 0))
