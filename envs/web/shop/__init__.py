"""A shop: WebShop's rules over generated or own products, in process or in a browser."""

from __future__ import annotations

from cmat_env.envs.web.shop.catalogue import Catalogue, Goal, Product
from cmat_env.envs.web.shop.env import WebShopEnv
from cmat_env.envs.web.shop.episode import ShopSettings
from cmat_env.envs.web.shop.generate import generate_catalogue, generate_goal

__all__ = ["Catalogue", "Goal", "Product", "ShopSettings", "WebShopEnv", "generate_catalogue", "generate_goal"]
