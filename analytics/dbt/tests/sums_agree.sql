-- What is counted in several models is the same in all of them: stays, the minutes of stays, failures and bytes.
with stays as (
    select count(*) as joins, coalesce(sum(minutes), 0) as minutes from {{ ref('participants') }}
),

told as (
    select 'sessions_enriched' as model, sum(joins) as joins, sum(participant_minutes) as minutes from {{ ref('sessions_enriched') }}
    union all
    select 'daily_usage', sum(joins), sum(participant_minutes) from {{ ref('daily_usage') }}
    union all
    select 'hourly_concurrency', null, sum(participant_minutes) from {{ ref('hourly_concurrency') }}
    union all
    select 'template_performance', sum(joins), null from {{ ref('template_performance') }}
    union all
    -- Sessions without a room are in no room.
    select
        'room_participation',
        sum(joins) + (select count(*) from {{ ref('participants') }} where room_id is null),
        sum(participant_minutes) + (select coalesce(sum(minutes), 0) from {{ ref('participants') }} where room_id is null)
    from {{ ref('room_participation') }}
)

select told.model, told.joins as found, stays.joins as expected
from told cross join stays
where coalesce(told.joins, stays.joins) <> stays.joins
union all
select told.model, told.minutes, stays.minutes
from told cross join stays
where abs(coalesce(told.minutes, stays.minutes) - stays.minutes) > 0.01
union all
select 'failures_by_hour', found, expected
from (
    select
        (select sum(failures) + sum(disconnects) from {{ ref('failures_by_hour') }}) as found,
        (select count(*) from {{ ref('failures') }}) as expected
) as failures
where found <> expected
union all
select 'recordings_enriched', found, expected
from (
    select
        (select sum(bytes) from {{ ref('recordings_enriched') }}) as found,
        (select sum(bytes) from {{ ref('recording_files') }} where status = 'completed') as expected
) as files
where found <> expected
