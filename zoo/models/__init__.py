"""The models: their architectures, cards, and pretrained weights, by name."""

from zoo.models.architectures import MODELS
from zoo.models.cards import Card
from zoo.models.lookup import get_card, get_model, get_symbol, list_models

__all__ = ["MODELS", "Card", "get_card", "get_model", "get_symbol", "list_models"]
