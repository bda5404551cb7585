"""A dashboard over the tables of the dbt package: `analytics/open` starts it."""

import datetime

import altair as alt
import pandas
import streamlit as st

from marts import NotThere, database_name, ask, asks_for, need, need_rows, plain

DAYS = {"7 days": 7, "30 days": 30, "90 days": 90, "1 year": 365, "All": 36500}
WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
STEPS = ["tried to join", "joined", "published", "had no failure", "was not disconnected"]
RECORDING = {
    "recorded": "It was recorded.",
    "in progress": "Its recording is not finished yet.",
    "failed": "It was to be recorded, but no recording was completed with a file.",
    "not asked for": "Nobody asked for a recording, and the room is not set to record.",
    "not yet": "The room is set to record, and there is no recording yet.",
    "nobody came": "The room is set to record, but nobody came.",
    "missing": "The room is set to record, but there is no recording of it.",
}
GOOD, FAIR, POOR, UNKNOWN = "#0068c9", "#83c9ff", "#d62728", "#bbbbbb"


def colors(column: str, **of: str) -> alt.Color:
    """Colours that mean the same on every page."""
    names = [name.replace("_", " ") for name in of]
    return alt.Color(f"{column}:N", title=column, scale=alt.Scale(domain=names, range=[*of.values()]))


UNUSUAL = alt.Color("unusual:N", scale=alt.Scale(domain=[False, True], range=[FAIR, POOR]))
OUTCOME = colors("outcome", completed=GOOD, in_progress=FAIR, failed=POOR, completed_without_a_file="#ff9f36")
QUALITY = colors("quality", good=GOOD, fair=FAIR, poor=POOR, unknown=UNKNOWN)


def period() -> dict[str, datetime.date]:
    """The days to look at: they end with the newest day in the data, not with today."""
    chosen = st.sidebar.radio("Period, up to the newest session", list(DAYS), index=1, key="period")
    newest = ask("select max(day) as day from {daily_usage}").day[0]
    until = pandas.Timestamp(newest).date() + datetime.timedelta(days=1)
    return {"since": until - datetime.timedelta(days=DAYS[chosen]), "until": until}


def bars(rows: pandas.DataFrame, x: str, y: str, color: str | alt.Color | None = None, kind: str = "T", **axis) -> None:
    place = f"yearmonthdate({x}):T" if kind == "T" else f"{x}:{kind}"
    height = alt.Y(f"{y}:Q", title=y.replace("_", " "), axis=alt.Axis(**axis))
    chart = alt.Chart(rows).mark_bar().encode(x=alt.X(place, title=None, sort=None), y=height, tooltip=list(rows.columns))
    st.altair_chart(chart.encode(color=color) if color else chart, height=260)


def table(rows: pandas.DataFrame) -> None:
    st.dataframe(rows.rename(columns=lambda name: name.replace("_", " ")), hide_index=True)


def usage() -> None:
    st.title("Usage")
    need("sessions", "daily_usage")
    days = period()
    left, right = st.columns([2, 3])
    by = left.segmented_control("By", ["app", "room", "template", "region"], default="app") or "app"
    measures = ["sessions", "participant_minutes", "session_minutes", "joins"]
    words = {"format_func": lambda name: name.replace("_", " "), "default": "sessions"}
    measure = right.segmented_control("Measure", measures, **words) or "sessions"
    totals(days)
    column = {
        "app": "app_id",
        "room": "coalesce(room_name, room_id)",
        "template": "coalesce(template_name, template_id)",
        "region": "region",
    }[by]
    source = "from {daily_usage} where day >= :since and day < :until"
    rows = ask(f"select day, coalesce({column}, '(none)') as {by}, sum({measure}) as {measure} {source} group by 1, 2", **days)
    if need_rows(rows, "sessions"):
        # More colours than ten cannot be told apart.
        largest = rows.groupby(by)[measure].sum().nlargest(9).index
        rows[by] = rows[by].where(rows[by].isin(largest), "(others)")
        bars(rows.groupby(["day", by], as_index=False)[measure].sum(), "day", measure, f"{by}:N")
        st.subheader(f"By {by}")
        table(ask(f"""
            select coalesce({column}, '(none)') as {by}, sum(sessions) as sessions, sum(joins) as joins,
                round(sum(participant_minutes)) as participant_minutes, round(sum(session_minutes)) as session_minutes
            {source} group by 1 order by 2 desc limit 200""", **days))  # fmt: skip
    if by == "region":
        st.caption("The region is the one that a room is set to. 100ms does not say where people are.")
    st.subheader("Templates, over all time")
    table(ask("""
        select coalesce(template_name, template_id) as template, rooms, used_rooms, sessions, people,
            round(median_minutes) as median_minutes, early_share, failures, recordings, recording_success,
            missing_recordings
        from {template_performance} order by sessions desc limit 200"""))


def totals(days: dict[str, datetime.date]) -> None:
    """Of the period, beside those of the period before, which was as long."""
    sums = """
        select count(*) as sessions, coalesce(sum(participant_minutes), 0) as minutes, avg(minutes) as length,
            count(case when is_live then 1 end) as live
        from {sessions_enriched} where day >= :since and day < :until"""
    now = ask(sums, **days).iloc[0]
    before = ask(sums, since=days["since"] - (days["until"] - days["since"]), until=days["since"]).iloc[0]
    people = ask("""
        select count(distinct person) as people from {participants}
        where session_started_at >= :since and session_started_at < :until""", **days).people[0]  # fmt: skip
    beside = "Below is the difference to the period before, which was as long."
    boxes = st.columns(5)
    boxes[0].metric("Sessions", f"{now.sessions:,.0f}", f"{now.sessions - before.sessions:+,.0f}", help=beside)
    boxes[1].metric("People", f"{people:,}")
    boxes[2].metric("Hours of people", f"{now.minutes / 60:,.0f}", f"{(now.minutes - before.minutes) / 60:+,.0f}", help=beside)
    boxes[3].metric("Mean length", "–" if pandas.isna(now.length) else f"{now.length:.0f} min")
    boxes[4].metric("Going on now", f"{now.live:,.0f}")


def participation() -> None:
    st.title("Participation")
    need("sessions", "participants")
    days = period()
    source = "from {participants} where session_started_at >= :since and session_started_at < :until"
    st.subheader("How long do people stay?")
    stays = ask(f"""
        select least(floor(minutes), 120) as at_least, count(*) as stays
        {source} and ending <> 'still in' and minutes is not null group by 1 order by 1""", **days)  # fmt: skip
    if need_rows(stays, "stays"):
        stays["share"] = stays.stays[::-1].cumsum() / stays.stays.sum()
        st.altair_chart(alt.Chart(stays).mark_area(opacity=0.6).encode(
            x=alt.X("at_least:Q", title="minutes after joining"),
            y=alt.Y("share:Q", title="share still in", axis=alt.Axis(format="%")),
        ), height=220)  # fmt: skip
        drop_off(ask(f"""
            select cast(session_started_at as date) as day, count(case when left_early then 1 end) as left_early,
                count(*) as leaves
            {source} and ending = 'left' group by 1 order by 1""", **days))  # fmt: skip
    st.subheader("Rooms: how many join, and where do they drop off?")
    table(ask(f"""
        select coalesce(max(room_name), room_id) as room, count(distinct session_id) as sessions, count(*) as joins,
            count(distinct person) as people, round(avg(minutes)) as mean_minutes,
            count(case when left_early then 1 end) as left_early,
            round(100.0 * count(case when left_early then 1 end)
                / nullif(count(case when ending = 'left' then 1 end), 0)) as early_percent
        {source} group by room_id order by joins desc limit 200""", **days))  # fmt: skip
    st.subheader("Of all who tried to get in, how many got how far?")
    funnel = ask("""
        select case when sum(joins) = 0 then 1 when sum(tracks) = 0 then 2 when sum(failures) > 0 then 3
            when sum(disconnects) > 0 then 4 else 5 end as step
        from {engagement_funnel} where day >= :since and day < :until group by person""", **days)  # fmt: skip
    if need_rows(funnel, "events"):
        reached = [{"step": name, "people": int((funnel.step >= number).sum())} for number, name in enumerate(STEPS, 1)]
        st.altair_chart(alt.Chart(pandas.DataFrame(reached)).mark_bar().encode(
            y=alt.Y("step:N", sort=None, title=None, axis=alt.Axis(labelLimit=200)), x="people:Q", tooltip=["step", "people"],
        ), height=200)  # fmt: skip
        st.caption("From the events, which 100ms keeps for 30 days. A failure before the join counts as a failure, too.")
    st.subheader("Why did they leave?")
    if asks_for("webhook_events", "leave_reasons"):
        reasons = ask("""
            select reason, count(*) as leaves, count(distinct person) as people from {leave_reasons}
            where left_at >= :since and left_at < :until group by 1 order by 2 desc""", **days)  # fmt: skip
        if need_rows(reasons, "leaves"):
            table(reasons)


def drop_off(early: pandas.DataFrame) -> None:
    st.subheader("Do more people than usual leave early?")
    usual = early.left_early.sum() / max(early.leaves.sum(), 1)
    early["share_of_leaves"] = early.left_early / early.leaves
    # Three times the standard deviation of a share, which is larger on days with few leaves.
    early["unusual"] = early.share_of_leaves > usual + 3 * (usual * (1 - usual) / early.leaves) ** 0.5
    bars(early, "day", "share_of_leaves", UNUSUAL, format="%")
    odd = ", ".join(str(day)[:10] for day in early[early.unusual].day)
    st.write(f"{usual:.0%} of all who left did so early. " + (f"Unusually many did on {odd}." if odd else "On no day did unusually many."))


def peak_hours() -> None:
    st.title("Peak hours")
    need("sessions", "hourly_concurrency")
    hours = ask("""
        select day, weekday, hour_of_day, peak_people, peak_at, average_people from {hourly_concurrency}
        where day >= :since and day < :until order by hour""", **period())  # fmt: skip
    if not need_rows(hours, "hours with sessions"):
        return
    top = hours.loc[hours.peak_people.idxmax()]
    st.write(f"At most **{top.peak_people:,} people** were in calls at the same time, at {top.peak_at:%Y-%m-%d %H:%M} UTC.")
    bars(hours.groupby("day", as_index=False).peak_people.max(), "day", "peak_people")
    st.subheader("People in calls on average, by weekday and hour (UTC)")
    grid = hours.groupby(["weekday", "hour_of_day"], as_index=False).average_people.mean().round(2)
    grid["weekday"] = grid.weekday.map(lambda number: WEEKDAYS[number - 1])
    st.altair_chart(alt.Chart(grid).mark_rect().encode(
        x=alt.X("hour_of_day:O", title="hour"), y=alt.Y("weekday:O", sort=WEEKDAYS, title=None),
        color=alt.Color("average_people:Q", title="people"), tooltip=list(grid.columns),
    ), height=260)  # fmt: skip


def recordings() -> None:
    st.title("Recordings")
    need("recordings", "recordings_enriched")
    days = period()
    source = "from {recordings_enriched} where created_at >= :since and created_at < :until"
    rows = ask(f"""
        select cast(created_at as date) as day, outcome, count(*) as recordings, coalesce(sum(minutes), 0) / 60 as hours,
            sum(bytes) / 1e9 as gigabytes
        {source} group by 1, 2 order by 1""", **days)  # fmt: skip
    if need_rows(rows, "recordings"):
        bad = rows[rows.outcome.isin(["failed", "completed without a file"])]
        boxes = st.columns(4)
        boxes[0].metric("Recordings", f"{rows.recordings.sum():,}")
        boxes[1].metric("Hours", f"{rows.hours.sum():,.1f}")
        boxes[2].metric("Gigabytes", f"{rows.gigabytes.sum():,.1f}")
        boxes[3].metric("Failed or without a file", f"{bad.recordings.sum():,}")
        bars(rows, "day", "recordings", OUTCOME)
    st.subheader("Sessions that should have been recorded and were not")
    st.caption("The room is set to record, by itself or through its template, as it is now; people came, and the session ended.")
    missing = ask("""
        select session_id, coalesce(room_name, room_id) as room, started_at, round(minutes) as minutes, people
        from {sessions_enriched} where recording_outcome = 'missing' and day >= :since and day < :until
        order by started_at desc limit 200""", **days)  # fmt: skip
    if missing.empty:
        st.write("There are none.")
    else:
        table(missing)
    st.subheader("By room and session")
    table(ask(f"""
        select coalesce(max(room_name), room_id) as room, session_id, min(session_started_at) as session_started,
            count(*) as recordings, count(case when outcome = 'completed' then 1 end) as completed,
            round(sum(minutes)) as minutes, round(sum(bytes) / 1e9, 3) as gigabytes
        {source} group by room_id, session_id order by 3 desc limit 200""", **days))  # fmt: skip


def failures() -> None:
    st.title("Failures")
    need("analytics_events", "failures")
    days = period()
    hours = ask("""
        select hour, joins, failures, disconnects, usual_failures, is_unusual as unusual from {failures_by_hour}
        where hour >= :since and hour < :until order by hour""", **days)  # fmt: skip
    if need_rows(hours, "events"):
        odd = hours[hours.unusual]
        failures, disconnects, joins = (counted(hours[name].sum(), name[:-1]) for name in ["failures", "disconnects", "joins"])
        st.write(f"There were **{failures}** and {disconnects}, next to {joins}.")
        st.write(f"**{counted(len(odd), 'hour').capitalize()} had unusually many failures**, compared with the same hour of other weeks.")
        if len(odd):
            table(odd.nlargest(50, "failures")[["hour", "failures", "usual_failures", "joins"]].round(1))
        shown = hours[hours.failures > 0]
        st.altair_chart(alt.Chart(shown).mark_bar().encode(
            x=alt.X("yearmonthdatehours(hour):T", title=None), y="failures:Q", color=UNUSUAL, tooltip=list(shown.columns),
        ), height=240)  # fmt: skip
        source = "from {failures} where failed_at >= :since and failed_at < :until"
        st.subheader("What failed")
        table(ask(f"""
            select what, error_name, error_code, reason, count(*) as times, count(distinct person) as people,
                count(distinct room_id) as rooms, max(failed_at) as last
            {source} group by 1, 2, 3, 4 order by 5 desc limit 200""", **days))  # fmt: skip
        st.subheader("By room")
        table(ask(f"""
            select coalesce(max(room_name), room_id) as room,
                count(case when type <> 'client.disconnected' then 1 end) as failures,
                count(case when type = 'client.disconnected' then 1 end) as disconnects,
                count(distinct person) as people
            {source} group by room_id order by 2 desc limit 200""", **days))  # fmt: skip
    st.subheader("How good were the calls?")
    if asks_for("peer_quality", "call_quality"):
        quality = ask("""
            select cast(started_at as date) as day, quality, count(*) as stays from {call_quality}
            where started_at >= :since and started_at < :until group by 1, 2""", **days)  # fmt: skip
        if need_rows(quality, "measurements"):
            bars(quality, "day", "stays", QUALITY)
    st.caption("100ms keeps these events for 30 days; the tables keep what was read in time.")


def live_now() -> None:
    st.title("Live now")
    need("sessions", "who_is_live")
    people = ask("""
        select coalesce(room_name, room_id) as room, called as person, role, joined_at, session_id
        from {who_is_live} order by room, joined_at""")
    newest = ask("""
        select coalesce(max(case when stream = 'active_room_peers' then extracted_at end), max(coalesce(extracted_at, newest))) as newest
        from {loaded_streams}""").newest[0]
    st.caption(f"As of the last sync ({newest:%Y-%m-%d %H:%M} UTC). Sync `active_room_peers` more often for a fresher answer.")
    if people.empty:
        st.info(
            "Nobody was in a room when the connector looked. If somebody should have been, check that the stream "
            "`active_room_peers` is selected, sync, and run `dbt build` again."
        )
        return
    boxes = st.columns(2)
    boxes[0].metric("People", f"{len(people):,}")
    boxes[1].metric("Rooms", f"{people.room.nunique():,}")
    rooms = people.groupby("room", as_index=False).size().rename(columns={"size": "people"})
    bars(rooms.nlargest(30, "people"), "room", "people", kind="N")
    table(people)


def support() -> None:
    st.title("What happened?")
    need("sessions", "session_timeline")
    sought = st.text_input("A user id, a name, a room or a session", value=st.query_params.get("q", "")).strip()
    if not sought:
        st.write("Enter an id or a part of a name. You get the sessions that it was part of, and what happened in them.")
        return
    values = {"sought": sought, "part": f"%{sought.lower()}%"}
    is_person = "(person = :sought or peer_id = :sought or lower(called) like :part)"
    stays = ask(f"select session_id, called, person, minutes from {{participants}} where {is_person} order by joined_at desc", **values)
    sessions = ask(f"""
        select * from {{sessions_enriched}}
        where session_id = :sought or room_id = :sought or lower(room_name) like :part
            or session_id in (select session_id from {{participants}} where {is_person})
        order by started_at desc limit 200""", **values)  # fmt: skip
    # Who never got in is in no session.
    outside = ask(f"""
        select failed_at, called, what, error_name, reason, coalesce(room_name, room_id) as room from {{failures}}
        where session_id is null and (room_id = :sought or {is_person}) order by failed_at desc limit 100""", **values)  # fmt: skip
    if sessions.empty and outside.empty:
        st.info(f"Nothing is known of “{plain(sought)}”. It may be older than the start date of the connection, or newer than the last sync.")
        return
    if not stays.empty:
        names = plain(", ".join(stays.called.unique()[:3]))
        st.write(f"**{names}**: {counted(stays.session_id.nunique(), 'session')}, {counted(len(stays), 'join')}, {counted(round(stays.minutes.sum()), 'minute')} in all.")
    if not outside.empty:
        st.subheader("Did not get in")
        table(outside)
    if not sessions.empty:
        one_session(sessions.set_index("session_id"), stays)


def one_session(sessions: pandas.DataFrame, stays: pandas.DataFrame) -> None:
    names = {
        row.Index: f"{row.started_at:%Y-%m-%d %H:%M} · {row.room_name or row.room_id} · {counted(row.people, 'person')}"
        for row in sessions.itertuples()
    }
    label = "The session" if len(names) == 1 else f"One of {len(names)} sessions"
    chosen = st.selectbox(label, list(names), format_func=names.get)
    st.markdown("\n".join(f"- {sentence}" for sentence in told(sessions.loc[chosen])))
    lines = ask("select moment, kind, person, sentence from {session_timeline} where session_id = :chosen order by line", chosen=chosen)
    if not stays.empty and st.toggle("Only failures, and this person"):
        lines = lines[(lines.kind == "failure") | lines.person.isin(stays.person.unique())]
    table(lines[["moment", "kind", "sentence"]])


def counted(count: int, what: str) -> str:
    many = {"person": "people"}.get(what, f"{what}s")
    return f"{count:,} {what}" if count == 1 else f"{f'{count:,}' if count else 'no'} {many}"


def told(session: pandas.Series) -> list[str]:
    """What a session was like, and why, in sentences."""
    length = "is still going on" if session.is_live else f"lasted {counted(round(session.minutes), 'minute')}"
    room = plain(session.room_name or session.room_id)
    causes = ask("""
        select what, coalesce(error_name, reason, 'no reason given') as why, count(*) as times from {failures}
        where session_id = :session group by 1, 2 order by 3 desc, 1, 2 limit 8""", session=session.name)  # fmt: skip
    again = f"people joined again {counted(session.rejoins, 'time')}" if session.rejoins else "nobody joined again"
    failed = "; ".join(f"{row.what} ({plain(row.why)}, {row.times}×)" for row in causes.itertuples())
    return [
        f"The session took place in the room “{room}”, started on {session.started_at:%Y-%m-%d at %H:%M} UTC and {length}.",
        f"{counted(session.people, 'person').capitalize()} joined {counted(session.joins, 'time')}; at most {session.peak_people} were in it at the same time.",
        f"{counted(session.left_early, 'stay').capitalize()} ended early; {again}.",
        f"What failed: {failed}." if failed else "No failure was reported.",
        RECORDING[session.recording_outcome],
    ]


PAGES = {
    "usage": usage,
    "participation": participation,
    "peak-hours": peak_hours,
    "recordings": recordings,
    "failures": failures,
    "live-now": live_now,
    "support": support,
}

st.set_page_config(page_title="100ms", layout="wide")
page = st.navigation([
    st.Page(function, title=path.replace("-", " ").capitalize(), url_path=path, default=path == "usage")
    for path, function in PAGES.items()
])  # fmt: skip
st.sidebar.caption(f"All times are in UTC. Reads `{database_name()}`.")
try:
    page.run()
except NotThere as error:
    st.error(f"A table is missing: run `dbt build` again. ({error})")
