"""DeepViT, after Zhou et al., "DeepViT: Towards Deeper Vision Transformer", 2021; timm has none.

Written from the paper, with the parameters' names as in its authors' checkpoints:

    Re-Attention(Q, K, V) = Norm(Theta^T softmax(Q K^T / sqrt(d))) V          (section 4.2)

Theta mixes the attention maps over the heads. The authors' code makes it a 1x1 convolution with a
bias (reatten_matrix) and Norm a batch norm over the heads (var_norm); the rest is a ViT whose qkv
has no bias.
"""

import torch
from torch import nn


class ReAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.reatten_matrix = nn.Conv2d(heads, heads, 1)
        self.var_norm = nn.BatchNorm2d(heads)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        images, tokens, dim = x.shape
        head_dim = dim // self.heads
        # Rows of qkv: all of q, of k, of v; within each, head after head.
        q, k, v = (part.reshape(images, tokens, self.heads, head_dim)
                   for part in self.qkv(x).split(dim, dim=-1))
        maps = torch.softmax(torch.einsum("bqhd,bkhd->bhqk", q, k) / head_dim**0.5, dim=-1)
        maps = self.var_norm(self.reatten_matrix(maps))
        return self.proj(torch.einsum("bhqk,bkhd->bqhd", maps, v).reshape(x.shape))


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, dim, heads, hidden, eps):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = ReAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim, hidden)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, dim, patch):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, images):
        return self.proj(images).flatten(2).transpose(1, 2)


class DeepViT(nn.Module):
    def __init__(self, img_size, patch_size, embed_dim, depth, num_heads, mlp_ratio, eps=1e-6,
                 classes=1000):
        super().__init__()
        self.patch_embed = PatchEmbed(embed_dim, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (img_size // patch_size)**2, embed_dim))
        self.blocks = nn.Sequential(*(Block(embed_dim, num_heads, int(embed_dim * mlp_ratio), eps)
                                      for _ in range(depth)))
        self.norm = nn.LayerNorm(embed_dim, eps=eps)
        self.head = nn.Linear(embed_dim, classes)

    def forward(self, images):
        x = self.patch_embed(images)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])
