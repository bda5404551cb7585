-- Rooms that are known only from what happened in them are here, too, so that every room id leads somewhere.
with seen as (
    select id as room_id from {{ ref('stg_rooms') }}
    union distinct
    select room_id from {{ ref('stg_sessions') }} where room_id is not null
    union distinct
    select room_id from {{ ref('stg_recordings') }} where room_id is not null
    union distinct
    select room_id from {{ ref('stg_analytics_events') }} where room_id is not null
)

select
    seen.room_id,
    rooms.name as room_name,
    rooms.enabled as is_enabled,
    {{ filled('rooms.region') }} as region,
    {{ filled('rooms.template_id') }} as template_id,
    templates.name as template_name,
    coalesce(
        case
            when rooms.recording_source_template then {{ json_text('templates.settings', 'recording.enabled') }}
            else {{ json_text('rooms.recording_info', 'enabled') }}
        end = 'true',
        false
    ) as is_recording_on,
    rooms.created_at
from seen
left join {{ ref('stg_rooms') }} as rooms on seen.room_id = rooms.id
left join {{ ref('stg_templates') }} as templates on rooms.template_id = templates.id
