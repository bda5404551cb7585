{% set always = [
    'sessions', 'rooms', 'active_room_peers', 'templates', 'template_settings', 'templates_destinations',
    'analytics_events', 'recordings',
] -%}
{# Where it is not `updated_at`. -#}
{% set newest = {
    'active_room_peers': 'joined_at', 'templates_destinations': 'extracted_at', 'analytics_events': 'created_at',
    'webhook_events': 'created_at', 'peer_quality': 'session_ended_at', 'recording_assets': 'created_at',
} -%}
{% for stream in always + var('extra_streams') -%}
{{ 'union all' if not loop.first }}
select
    '{{ stream }}' as stream,
    count(*) as records,
    max({{ newest.get(stream, 'updated_at') }}) as newest,
    max(extracted_at) as extracted_at
from {{ ref('stg_' ~ stream) }}
{% endfor %}
