-- A failure is compared with joins of the same hour, and its number with that of the same hour in other weeks.
with joins as (
    select {{ dbt.date_trunc('hour', 'created_at') }} as hour, count(*) as joins
    from {{ ref('stg_analytics_events') }}
    where type = 'peer.join'
    group by 1
),

failures as (
    select
        {{ dbt.date_trunc('hour', 'failed_at') }} as hour,
        count(case when type <> 'client.disconnected' then 1 end) as failures,
        count(case when type = 'client.disconnected' then 1 end) as disconnects
    from {{ ref('failures') }}
    group by 1
),

bounds as (
    select
        {{ dbt.date_trunc('hour', 'min(created_at)') }} as first_hour,
        {{ dbt.date_trunc('hour', 'max(created_at)') }} as last_hour
    from {{ ref('stg_analytics_events') }}
),

hours as (
    {{ hours_of('bounds') }}
),

counted as (
    select
        hours.hour,
        {{ weekday('hours.hour') }} as weekday,
        cast(extract(hour from hours.hour) as integer) as hour_of_day,
        coalesce(joins.joins, 0) as joins,
        coalesce(failures.failures, 0) as failures,
        coalesce(failures.disconnects, 0) as disconnects
    from hours
    left join joins on hours.hour = joins.hour
    left join failures on hours.hour = failures.hour
),

-- The hour itself is left out of what is usual. With no other week to look at, all other hours say it.
compared as (
    select
        counted.*,
        coalesce(
            {{ as_double('sum(failures) over (partition by weekday, hour_of_day) - failures') }}
            / nullif(count(*) over (partition by weekday, hour_of_day) - 1, 0),
            {{ as_double('sum(failures) over () - failures') }} / nullif(count(*) over () - 1, 0),
            0
        ) as usual_failures
    from counted
)

-- Counts of independent failures are rarely further above what is usual than three times its root.
select
    compared.*,
    failures >= {{ var('unusual_failures') }}
    and failures > usual_failures + 3 * sqrt(case when usual_failures < 1 then 1 else usual_failures end) as is_unusual
from compared
