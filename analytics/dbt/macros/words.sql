{# A share of two counts, which some databases would divide without a rest. #}
{% macro share(part, whole) %}{{ as_double('round(cast(' ~ part ~ ' as ' ~ dbt.type_numeric() ~ ') / nullif(' ~ whole ~ ', 0), 3)') }}{% endmacro %}


{% macro minutes_between(earlier, later) %}{{ as_double(seconds_between(earlier, later) ~ ' / 60.0') }}{% endmacro %}


{# A sum of counts is a decimal in some databases. #}
{% macro total(value) %}cast(coalesce(sum({{ value }}), 0) as {{ dbt.type_bigint() }}){% endmacro %}


{# Texts may be empty where 100ms has nothing to say. #}
{% macro filled(column) %}nullif({{ column }}, ''){% endmacro %}


{# Somebody without a user id is somebody else with each join. #}
{% macro person(user_id, peer_id) %}coalesce(nullif({{ user_id }}, ''), {{ peer_id }}){% endmacro %}


{# What to call somebody in a sentence. Names may have been dropped by the connector's setting `personal_data`. #}
{% macro called(name, user_id, peer_id) -%}
coalesce(nullif({{ name }}, ''), nullif({{ user_id }}, ''), 'somebody (' || substring({{ peer_id }}, 1, 8) || ')', 'somebody')
{%- endmacro %}


{% macro minutes_in_words(minutes) %}cast(round(cast({{ minutes }} as {{ dbt.type_numeric() }}), 1) as {{ dbt.type_string() }}) || ' min'{% endmacro %}


{# The mean of a measure over tracks of one direction; each track weighs as much as it has samples. #}
{% macro mean_of(direction, measure) -%}
sum(case when direction = '{{ direction }}' then {{ measure }}_mean * samples end)
        / nullif(sum(case when direction = '{{ direction }}' and {{ measure }}_mean is not null then samples end), 0)
{%- endmacro %}
