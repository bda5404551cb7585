with recordings as (
    select
        id as recording_id,
        room_id,
        session_id,
        recording_assets
    from {{ ref('stg_recordings') }}
),

files as (
    {{ unnest_objects(
        'recordings', 'recording_assets',
        keep=['recording_id', 'room_id', 'session_id'],
        members={'id': 'text', 'type': 'text', 'status': 'text', 'path': 'text', 'size': 'number', 'duration': 'number', 'created_at': 'timestamp'},
        rename={'id': 'file_id', 'size': 'bytes', 'duration': 'seconds'},
    ) }}
)

select
    file_id,
    recording_id,
    room_id,
    session_id,
    type,
    status,
    path,
    cast(bytes as {{ dbt.type_bigint() }}) as bytes,
    {{ as_double('seconds / 60.0') }} as minutes,
    created_at
from files
