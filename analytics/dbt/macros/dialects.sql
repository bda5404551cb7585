{# What the four databases have different words for, and dbt has no macro for. #}

{# A column by its name, which may be a reserved word. #}
{% macro quoted(name) %}{{ return(adapter.dispatch('quoted', 'source_100ms')(name)) }}{% endmacro %}
{% macro default__quoted(name) %}{{ return(adapter.quote(name)) }}{% endmacro %}
{% macro snowflake__quoted(name) %}{{ return(adapter.quote(name | upper)) }}{% endmacro %}


{# A time in UTC without its zone; BigQuery's timestamps are in UTC anyway. Some loaders write times with a
   zone and others without, in UTC: what lies between them and 1970 is the same. #}
{% macro utc(time) %}{{ return(adapter.dispatch('utc', 'source_100ms')(time)) }}{% endmacro %}
{% macro default__utc(time) %}to_timestamp(extract(epoch from {{ time }})) at time zone 'UTC'{% endmacro %}
{% macro duckdb__utc(time) %}make_timestamp(epoch_us({{ time }})){% endmacro %}
{% macro bigquery__utc(time) %}cast({{ time }} as timestamp){% endmacro %}
{% macro snowflake__utc(time) %}cast(convert_timezone('UTC', {{ time }}) as timestamp_ntz){% endmacro %}


{% macro seconds_between(earlier, later) %}{{ return(adapter.dispatch('seconds_between', 'source_100ms')(earlier, later)) }}{% endmacro %}
{% macro default__seconds_between(earlier, later) %}extract(epoch from {{ later }} - {{ earlier }}){% endmacro %}
{% macro duckdb__seconds_between(earlier, later) %}((epoch_us({{ later }}) - epoch_us({{ earlier }})) / 1000000){% endmacro %}
{% macro bigquery__seconds_between(earlier, later) %}timestamp_diff({{ later }}, {{ earlier }}, microsecond) / 1000000{% endmacro %}
{% macro snowflake__seconds_between(earlier, later) %}datediff(microsecond, {{ earlier }}, {{ later }}) / 1000000{% endmacro %}


{# A number that is no decimal, so that clients need not convert it. #}
{% macro as_double(value) %}{{ return(adapter.dispatch('as_double', 'source_100ms')(value)) }}{% endmacro %}
{% macro default__as_double(value) %}cast({{ value }} as double precision){% endmacro %}
{% macro bigquery__as_double(value) %}cast({{ value }} as float64){% endmacro %}


{# The day of the week, from 1 for Monday to 7 for Sunday. #}
{% macro weekday(time) %}{{ return(adapter.dispatch('weekday', 'source_100ms')(time)) }}{% endmacro %}
{% macro default__weekday(time) %}cast(extract(isodow from {{ time }}) as integer){% endmacro %}
{% macro bigquery__weekday(time) %}mod(extract(dayofweek from {{ time }}) + 5, 7) + 1{% endmacro %}
{% macro snowflake__weekday(time) %}dayofweekiso({{ time }}){% endmacro %}


{# A query for the column `hour`: each full hour from `first_hour` to `last_hour` of a relation with one row. #}
{% macro hours_of(relation) %}{{ return(adapter.dispatch('hours_of', 'source_100ms')(relation)) }}{% endmacro %}
{% macro default__hours_of(relation) %}select generate_series(first_hour, last_hour, interval '1 hour') as hour from {{ relation }}{% endmacro %}
{% macro duckdb__hours_of(relation) %}select unnest(generate_series(first_hour, last_hour, interval 1 hour)) as hour from {{ relation }}{% endmacro %}
{% macro bigquery__hours_of(relation) %}select hour from {{ relation }} cross join unnest(generate_timestamp_array(first_hour, last_hour, interval 1 hour)) as hour{% endmacro %}
{# Snowflake's generator wants a constant: this one is good for 40 years. #}
{% macro snowflake__hours_of(relation) -%}
select dateadd(hour, number, first_hour) as hour
    from {{ relation }}
    cross join (select row_number() over (order by seq4()) - 1 as number from table(generator(rowcount => 350640))) as numbers
    where dateadd(hour, number, first_hour) <= last_hour
{%- endmacro %}


{# BigQuery has the exact percentile only as a window function, so this one is approximate there. #}
{% macro percentile(value, fraction) %}{{ return(adapter.dispatch('percentile', 'source_100ms')(value, fraction)) }}{% endmacro %}
{% macro default__percentile(value, fraction) %}percentile_cont({{ fraction }}) within group (order by {{ value }}){% endmacro %}
{% macro bigquery__percentile(value, fraction) %}approx_quantiles({{ value }}, 100)[offset({{ (100 * fraction) | int }})]{% endmacro %}


{% macro type_json() %}{{ return(adapter.dispatch('type_json', 'source_100ms')()) }}{% endmacro %}
{% macro default__type_json() %}json{% endmacro %}
{% macro postgres__type_json() %}jsonb{% endmacro %}
{% macro snowflake__type_json() %}variant{% endmacro %}


{# Loaders keep JSON as `json` or `jsonb` in PostgreSQL, and as an array or object in Snowflake. #}
{% macro as_json(column) %}cast({{ column }} as {{ type_json() }}){% endmacro %}


{# A member of a JSON object as text, with a dot between the names of a path. #}
{% macro json_text(column, path) %}{{ return(adapter.dispatch('json_text', 'source_100ms')(column, path)) }}{% endmacro %}
{% macro default__json_text(column, path) %}{{ column }} #>> '{{ '{' ~ path | replace('.', ',') ~ '}' }}'{% endmacro %}
{% macro duckdb__json_text(column, path) %}({{ column }} ->> '$.{{ path }}'){% endmacro %}
{% macro bigquery__json_text(column, path) %}json_value({{ column }}, '$.{{ path }}'){% endmacro %}
{% macro snowflake__json_text(column, path) %}cast({{ column }}:{{ path }} as varchar){% endmacro %}


{# How many members a JSON object has. #}
{% macro json_size(column) %}{{ return(adapter.dispatch('json_size', 'source_100ms')(column)) }}{% endmacro %}
{% macro default__json_size(column) %}(select count(*) from jsonb_object_keys({{ column }})){% endmacro %}
{% macro duckdb__json_size(column) %}len(json_keys({{ column }})){% endmacro %}
{% macro bigquery__json_size(column) %}array_length(json_keys({{ column }}, 1)){% endmacro %}
{% macro snowflake__json_size(column) %}array_size(object_keys({{ column }})){% endmacro %}


{# A query with one row for each object of a JSON array. `keep` lists columns of the relation that each row
   keeps; `members` says by its name which type a member has: text, number or timestamp, and `rename` how it
   is called in the answer. An empty array gives no row. #}
{% macro unnest_objects(relation, column, keep, members, rename={}) %}{{ return(adapter.dispatch('unnest_objects', 'source_100ms')(relation, column, keep, members, rename)) }}{% endmacro %}

{% macro default__unnest_objects(relation, column, keep, members, rename) -%}
{%- set types = {'text': 'text', 'number': 'numeric', 'timestamp': 'timestamptz'} -%}
select
        {{ keep | join(', ') }},
        {%- for name, type in members.items() %}
        item.{{ name }}{{ " at time zone 'UTC'" if type == 'timestamp' }} as {{ rename.get(name, name) }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }}
    cross join lateral jsonb_to_recordset(
        case jsonb_typeof({{ column }}) when 'array' then {{ column }} end
    ) as item ({% for name, type in members.items() %}{{ name }} {{ types[type] }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}

{# `unnest` stands in an inner list of columns and not behind `from`: there, DuckDB would carry the whole array
   along with each of its items, which for a session of 10,000 peers takes more memory than there is. #}
{% macro duckdb__unnest_objects(relation, column, keep, members, rename) -%}
{%- set types = {'text': 'VARCHAR', 'number': 'DOUBLE', 'timestamp': 'TIMESTAMP'} -%}
select
        {{ keep | join(', ') }},
        {%- for name in members %}
        item.{{ name }} as {{ rename.get(name, name) }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            {{ keep | join(', ') }},
            unnest(from_json({{ column }}, '[{ {%- for name, type in members.items() %}"{{ name }}": "{{ types[type] }}"{{ ', ' if not loop.last }}{% endfor -%} }]')) as item
        from {{ relation }}
    ) as unnested
{%- endmacro %}

{% macro bigquery__unnest_objects(relation, column, keep, members, rename) -%}
{%- set types = {'text': 'string', 'number': 'float64', 'timestamp': 'timestamp'} -%}
select
        {{ keep | join(', ') }},
        {%- for name, type in members.items() %}
        cast(json_value(item, '$.{{ name }}') as {{ types[type] }}) as {{ rename.get(name, name) }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }}
    cross join unnest(json_query_array({{ column }})) as item
{%- endmacro %}

{% macro snowflake__unnest_objects(relation, column, keep, members, rename) -%}
{%- set types = {'text': 'varchar', 'number': 'float', 'timestamp': 'timestamp_tz'} -%}
select
        {{ keep | join(', ') }},
        {%- for name, type in members.items() %}
        {%- set value = 'cast(item.value:' ~ name ~ ' as ' ~ types[type] ~ ')' %}
        {{ utc(value) if type == 'timestamp' else value }} as {{ rename.get(name, name) }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }},
        lateral flatten(input => {{ column }}) as item
{%- endmacro %}
