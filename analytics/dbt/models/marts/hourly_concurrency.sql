-- Everybody who joins adds one and everybody who leaves takes one away. The full hours stand between them with
-- no change, so that no piece between two moments belongs to two hours.
with stays as (
    select joined_at, present_until
    from {{ ref('participants') }}
    where joined_at is not null
),

bounds as (
    select
        {{ dbt.date_trunc('hour', 'min(joined_at)') }} as first_hour,
        {{ dbt.date_trunc('hour', 'max(present_until)') }} as last_hour
    from stays
),

hours as (
    {{ hours_of('bounds') }}
),

steps as (
    select joined_at as moment, 1 as step from stays
    union all
    select present_until as moment, -1 as step from stays
    union all
    select hour as moment, 0 as step from hours
),

moments as (
    select moment, sum(step) as step
    from steps
    group by moment
),

pieces as (
    select
        moment,
        cast(sum(step) over (order by moment rows between unbounded preceding and current row) as {{ dbt.type_bigint() }}) as people,
        lead(moment) over (order by moment) as next_moment
    from moments
),

placed as (
    select
        {{ dbt.date_trunc('hour', 'moment') }} as hour,
        moment,
        people,
        people * coalesce({{ minutes_between('moment', 'next_moment') }}, 0) as minutes,
        row_number() over (partition by {{ dbt.date_trunc('hour', 'moment') }} order by people desc, moment) as place
    from pieces
)

select
    hour,
    cast(hour as date) as day,
    {{ weekday('hour') }} as weekday,
    cast(extract(hour from hour) as integer) as hour_of_day,
    max(people) as peak_people,
    max(case when place = 1 then moment end) as peak_at,
    sum(minutes) as participant_minutes,
    sum(minutes) / 60.0 as average_people
from placed
group by hour
