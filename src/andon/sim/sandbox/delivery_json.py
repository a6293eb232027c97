"""Webhooks and their delivery log as the REST API shows them, and deliveries as the truth does."""

from typing import Any

import msgspec

from andon.sim.sandbox.delivery_records import Delivery, Hook, Send
from andon.sim.sandbox.repository_json import fine_stamp, stamp
from andon.sim.sandbox.signing import headers_of, request_body


def hook_json(hook: Hook, base_url: str) -> dict[str, Any]:
    """A webhook, its secret hidden."""
    url = f"{base_url}/app/hook" if hook.target_type == "integration" else f"{base_url}/{_place(hook)}/hooks/{hook.id}"
    shown: dict[str, Any] = {
        "type": {"repository": "Repository", "organization": "Organization"}.get(hook.target_type, "App"),
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": list(hook.events),
        "config": config_json(hook),
        "updated_at": stamp(hook.updated_at),
        "created_at": stamp(hook.created_at),
        "url": url,
        "ping_url": f"{url}/pings",
        "deliveries_url": f"{url}/deliveries",
    }
    if hook.target_type == "repository":
        shown["test_url"] = f"{url}/test"
        shown["last_response"] = {"code": hook.last_code, "status": hook.last_status, "message": None}
    return shown


def config_json(hook: Hook) -> dict[str, str]:
    """Where and how a webhook is delivered; says that there is a secret, not which."""
    config = {"url": hook.url, "content_type": hook.content_type, "insecure_ssl": "0"}
    return {**config, "secret": "********"} if hook.secret else config


def _place(hook: Hook) -> str:
    return f"repos/{hook.scope}" if hook.target_type == "repository" else f"orgs/{hook.scope}"


def send_json(send: Send) -> dict[str, Any]:
    """One line of the delivery log; several lines may share a GUID."""
    delivery = send.delivery
    return {
        "id": send.id,
        "guid": delivery.guid,
        "delivered_at": fine_stamp(send.delivered_at),
        "redelivery": send.redelivery,
        "duration": send.duration,
        "status": send.status,
        "status_code": send.status_code,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": delivery.installation,
        "repository_id": delivery.repository.id if delivery.repository else None,
        "throttled_at": None,
    }


def send_detail_json(send: Send) -> dict[str, Any]:
    """One line of the delivery log with what was sent."""
    body = request_body(send.delivery)
    return {
        **send_json(send),
        "url": send.delivery.hook.url,
        "request": {
            "headers": headers_of(send.delivery, body),
            "payload": msgspec.Raw(msgspec.json.encode(send.delivery.payload)),
        },
        "response": {"headers": {}, "payload": ""},
    }


def delivery_truth(delivery: Delivery) -> dict[str, Any]:
    """A delivery with what befell it and each time it was sent."""
    return {
        "guid": delivery.guid,
        "hook_id": delivery.hook.id,
        "event": delivery.event,
        "action": delivery.action,
        "repository": delivery.repository.full_name if delivery.repository else None,
        "job": delivery.job,
        "installation": delivery.installation,
        "made_at": fine_stamp(delivery.made_at),
        "faults": list(delivery.faults),
        "attempts": [
            {
                "id": send.id,
                "state": send.state.value,
                "redelivery": send.redelivery,
                "at": fine_stamp(send.delivered_at),
                "status_code": send.status_code,
                "status": send.status,
                "duration_s": send.duration,
            }
            for send in delivery.sends
        ],
    }
