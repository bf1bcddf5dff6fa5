"""The classic exercise on sightline.train: weight against height for five people, 20 epochs of SGD.

Run it with `python examples/classic.py`; it prints what the plain script prints.
"""

import torch
from torch import nn

import sightline

x = torch.tensor([150, 160, 170, 175, 185], dtype=torch.float32).reshape(-1, 1)
y = torch.tensor([55, 70, 64, 80, 75], dtype=torch.float32).reshape(-1, 1)

model = nn.Linear(1, 1)
with torch.no_grad():
    model.weight.fill_(0.45)
    model.bias.fill_(-35.0)
optimizer = torch.optim.SGD(model.parameters(), lr=3e-6)

for epoch in sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=optimizer, epochs=20, engine="autograd"):
    if epoch.number > 0:
        print(f"Epoch: {epoch.number}, train loss: {epoch.running_loss:.4f}")
        print(f"Weight: {model.weight.item():.4f}, Bias: {model.bias.item():.4f}")
        print("-" * 20)
