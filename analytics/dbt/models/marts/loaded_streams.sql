{% set newest = {
    'sessions': 'updated_at', 'rooms': 'updated_at', 'active_room_peers': 'joined_at', 'templates': 'updated_at',
    'template_settings': 'updated_at', 'templates_destinations': 'extracted_at', 'analytics_events': 'created_at',
    'recordings': 'updated_at', 'webhook_events': 'created_at', 'peer_quality': 'session_ended_at',
    'live_streams': 'updated_at', 'external_streams': 'updated_at',
    'session_peers': 'updated_at', 'recording_assets': 'created_at',
} -%}
{% set extra = [
    'webhook_events', 'peer_quality', 'live_streams', 'external_streams', 'session_peers', 'recording_assets',
] -%}
{% for stream, moment in newest.items() if stream not in extra or stream in var('extra_streams') -%}
{{ 'union all' if not loop.first }}
select '{{ stream }}' as stream, count(*) as records, max({{ moment }}) as newest, max(extracted_at) as extracted_at
from {{ ref('stg_' ~ stream) }}
{% endfor %}
