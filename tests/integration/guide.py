"""The production guide's own examples: its configuration file, its request, its response."""

from typing import Any

CONFIGURATION: dict[str, Any] = {
    "environment": "production",
    "models": [
        {
            "name": "ppo_usdcop_v3",
            "algorithm": "PPO",
            "onnx_path": "models/onnx/ppo_usdcop_v3.onnx",
            "observation_dim": 45,
            "action_space_size": 3,
            "weight": 1.0,
            "enabled": True,
        }
    ],
    "risk_limits": {
        "max_daily_loss": -0.02,
        "max_drawdown": -0.05,
        "max_consecutive_losses": 5,
        "min_confidence": 0.60,
        "max_trades_per_day": 50,
        "max_position_size": 0.10,
    },
    "trading_hours": {
        "start_hour": 8,
        "end_hour": 12,
        "end_minute": 55,
        "timezone": "America/Bogota",
        "trading_days": [0, 1, 2, 3, 4],
    },
    "monitoring": {
        "enable_drift_detection": True,
        "drift_check_interval_minutes": 60,
        "drift_threshold": 0.15,
    },
}

REQUEST = {"use_ensemble": True, "enforce_risk_checks": True}
"""Beside the observation."""

NUMBER = (int, float)

Kind = type | tuple[type, ...]

ANSWER: dict[str, Kind] = {
    "signal": str,
    "confidence": float,
    "approved": bool,
    "risk_status": str,
    "action_probs": dict,
    "latency_ms": float,
    "model_name": str,
    "timestamp": str,
    "risk_metrics": dict,
    "position_recommendation": dict,
}

METRICS: dict[str, Kind] = {"daily_pnl": float, "trades_today": int, "consecutive_losses": int}

RECOMMENDATION: dict[str, Kind] = {
    "position_size_percent": float,
    "position_size_usd": NUMBER,
    "risk_level": str,
}


def has_type(value: object, kind: Kind) -> bool:
    """Whether a JSON value is of this type; true and false are no numbers."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
