with files as (
    select
        recording_id,
        count(case when status = 'completed' then 1 end) as files,
        count(case when status = 'failed' then 1 end) as failed_files,
        {{ total("case when status = 'completed' then bytes end") }} as bytes
    from {{ ref('recording_files') }}
    group by recording_id
)

select
    recordings.id as recording_id,
    recordings.session_id,
    sessions.started_at as session_started_at,
    sessions.stopped_at as session_stopped_at,
    recordings.room_id,
    rooms.room_name,
    rooms.region,
    rooms.template_id,
    rooms.template_name,
    recordings.status,
    case
        when recordings.status = 'completed' and coalesce(files.files, 0) = 0 then 'completed without a file'
        when recordings.status in ('completed', 'failed') then recordings.status
        else 'in progress'
    end as outcome,
    recordings.destination,
    recordings.created_at,
    recordings.started_at,
    recordings.stopped_at,
    recordings.started_by,
    recordings.stopped_by,
    {{ as_double('recordings.duration / 60.0') }} as minutes,
    recordings.size as primary_bytes,
    coalesce(files.files, 0) as files,
    coalesce(files.failed_files, 0) as failed_files,
    coalesce(files.bytes, 0) as bytes,
    recordings.url
from {{ ref('stg_recordings') }} as recordings
left join files on recordings.id = files.recording_id
left join {{ ref('stg_sessions') }} as sessions on recordings.session_id = sessions.id
left join {{ ref('rooms_enriched') }} as rooms on recordings.room_id = rooms.room_id
