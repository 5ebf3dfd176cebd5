#!/usr/bin/env python3
"""The dashboards Fleet, Campaign and Coordinator, built of Grafana's own models.

    python3 dashboards.py            # writes dashboards/*.json beside this file

Needs the package in requirements.txt beside this file. What it writes is committed, so that Grafana
needs no Python; tests/observability compares.
"""

import json
import pathlib

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
CAMPAIGN = 'campaign=~"$campaign"'
RATE = "[$__rate_interval]"
# Server and workers both count images: those committed, and those computed.
SERVER = ' and on (job, instance) bitquake_build_info{component="server"}'
WORKER = ' and on (job, instance) bitquake_build_info{component="worker"}'


def targets(panel, queries):
    """`queries`: (expression, legend); Grafana fills in {{label}}."""
    for number, (expression, legend) in enumerate(queries):
        panel.with_target(prometheus.Dataquery().datasource(SOURCE).ref_id(chr(ord("A") + number))
                          .expr(expression).legend_format(legend))
    return panel


def number(title, unit, expression, description, legend=""):
    """The value now, large."""
    panel = (stat.Panel().title(title).description(description).unit(unit).datasource(SOURCE)
             .span(4).height(4).color_mode(common_models.BigValueColorMode.NONE)
             .graph_mode(common_models.BigValueGraphMode.AREA)
             .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])))
    return targets(panel, [(expression, legend)])


def lines(title, unit, queries, description, stacked=False):
    """Over time."""
    panel = (timeseries.Panel().title(title).description(description).unit(unit)
             .datasource(SOURCE).span(12).height(8).min(0).line_width(1)
             .fill_opacity(20 if stacked else 0)
             .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
                      .sort(common_models.SortOrder.DESCENDING)))
    if stacked:
        panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    return targets(panel, queries)


def quantile(q, metric, by):
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}{RATE})))"


def board(name, description, *panels):
    built = (dashboard.Dashboard(f"Bitquake {name}").uid(f"bitquake-{name.lower()}")
             .description(description).tags(["bitquake"]).refresh("30s").time("now-1h", "now")
             .tooltip(models.DashboardCursorSync.CROSSHAIR)
             .with_variable(dashboard.DatasourceVariable("datasource").label("Data source")
                            .type("prometheus"))
             .with_variable(dashboard.QueryVariable("campaign").label("Campaign")
                            .datasource(SOURCE).query("label_values(bitquake_jobs, campaign)")
                            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
                            .sort(models.VariableSort.ALPHABETICAL_ASC)
                            .multi(True).include_all(True).all_value(".*")))
    for number_of_panel, panel in enumerate(panels, 1):
        built.with_panel(panel.id(number_of_panel))
    return built.build()


def fleet():
    return board(
        "Fleet", "Workers: how many, how fast, and where their time goes.",
        number("Live workers", "short", 'sum(bitquake_workers{state="live"})',
               "Workers that the coordinator heard of within the time of a lease."),
        number("Images committed", "cps", f"sum(rate(bitquake_images_total{RATE}){SERVER})",
               "Image outcomes that the coordinator committed, a second."),
        number("Ready jobs", "short", f'sum(bitquake_jobs{{state="ready",{CAMPAIGN}}})',
               "Jobs that no worker has yet."),
        number("Ready work", "s", f"sum(bitquake_ready_work_seconds{{{CAMPAIGN}}})",
               "What one worker would need for them."),
        number("Canary failures", "short",
               "sum(increase(bitquake_canary_failures_total[$__range]))",
               "Proofs of weights and computations that failed on a worker. Look at each."),
        number("Quarantined workers", "short", 'sum(bitquake_workers{state="quarantined"})',
               "Workers that are not believed any more; `bitquake workers` says why."),
        lines("Workers by state", "short", [("sum by (state) (bitquake_workers)", "{{state}}")],
              "As the coordinator sees them.", stacked=True),
        lines("Images by worker", "cps",
              [(f"rate(bitquake_images_total{RATE}){WORKER}", "{{instance}}")],
              "Image outcomes computed, a second, golden ones and those of trials."),
        lines("Time by stage", "percentunit",
              [(f"sum by (stage) (rate(bitquake_stage_seconds_sum{RATE})) / scalar(count("
                'bitquake_build_info{component="worker"}))', "{{stage}}")],
              "Part of the workers' time that each stage takes; what is left they wait for work.",
              stacked=True),
        lines("Images and inferences", "cps",
              [(f"sum(rate(bitquake_images_total{RATE}){WORKER})", "images"),
               (f"sum(rate(bitquake_inferences_total{RATE}))", "inferences")],
              "Images that outcomes are over, and those that trials really ran: the others were "
              "golden, had no flips, or had the same faults as another trial."),
        lines("GPU memory in use", "percentunit",
              [("bitquake_gpu_memory_used_bytes / bitquake_gpu_memory_total_bytes",
                "{{instance}}")],
              "Part of each GPU's memory that is in use, by all processes; no data of CPUs."),
        lines("Reports waiting for an acknowledgement", "short",
              [("bitquake_spool_reports", "{{instance}}")],
              "What a worker keeps until the coordinator has committed it."))


def campaign():
    of = f"{{{CAMPAIGN}}}"
    return board(
        "Campaign", "How far campaigns are, when they will be done, and how sure they are.",
        number("Progress", "percentunit", f"bitquake_campaign_progress_ratio{of}",
               "Part of the jobs, as many as are expected, that is done.", "{{campaign}}"),
        number("Time left", "s", f"bitquake_campaign_eta_seconds{of}",
               "At the present speed.", "{{campaign}}"),
        number("Widest interval", "suffix: pp", f"bitquake_campaign_worst_half_width{of}",
               "Half-width of the widest confidence interval, in percentage points of top-1.",
               "{{campaign}}"),
        number("Images", "cps", f"sum(rate(bitquake_images_total{RATE}){SERVER})",
               "Image outcomes committed, a second, of all campaigns."),
        number("Jobs set aside", "short", f'sum(bitquake_jobs{{state="poisoned",{CAMPAIGN}}})',
               "Poisoned: they failed too often. `bitquake show` says how."),
        number("Work left", "s", f"sum(bitquake_ready_work_seconds{of})",
               "What one worker would need for the jobs that no worker has."),
        lines("Progress", "percentunit",
              [(f"bitquake_campaign_progress_ratio{of}", "{{campaign}}")],
              "Part of the jobs that is done. It falls when an adaptive campaign plans more."),
        lines("Jobs by state", "short",
              [(f"sum by (state) (bitquake_jobs{of})", "{{state}}")],
              "Of the chosen campaigns.", stacked=True),
        lines("Jobs done", "cps",
              [(f'deriv(bitquake_jobs{{state="done",{CAMPAIGN}}}{RATE})', "{{campaign}}")],
              "A second."),
        lines("Widest interval", "suffix: pp",
              [(f"bitquake_campaign_worst_half_width{of}", "{{campaign}}")],
              "Half-width in percentage points; adaptive campaigns end when it is what they ask."),
        lines("Trials", "cps", [(f"sum(rate(bitquake_trials_total{RATE}))", "trials")],
              "Finished, a second, of all campaigns."),
        lines("Bits flipped in a job", "short",
              [(f"sum(rate(bitquake_flips_total{RATE})) / sum(rate(bitquake_job_outcomes_total"
                f'{{result="done"}}{RATE}))', "flips")],
              "Mean over the jobs of all campaigns, golden ones included."))


def coordinator():
    return board(
        "Coordinator", "The server: its store, its calls, and what went wrong.",
        number("Scheduler answers", "bool_yes_no", "min(bitquake_scheduler_answers)",
               "Whether the writer answered the last scrape in time."),
        number("Database", "bytes", "sum(bitquake_store_database_bytes)", "Size of the file."),
        number("Write-ahead log", "bytes", "sum(bitquake_store_wal_bytes)", "Size of the file."),
        number("Disk free", "percentunit",
               "min(bitquake_store_disk_free_bytes / bitquake_store_disk_size_bytes)",
               "Part of the database's disk that is free."),
        number("Leases", "short", "sum(bitquake_leases_active)", "That workers hold."),
        number("Open jobs", "short", f'sum(bitquake_jobs{{state=~"ready|leased",{CAMPAIGN}}})',
               "Ready or leased, of the chosen campaigns."),
        lines("Commit time", "s",
              [(quantile(0.5, "bitquake_store_commit_seconds_bucket", ""), "median"),
               (quantile(0.99, "bitquake_store_commit_seconds_bucket", ""), "99%")],
              "Of the writer's transactions, from begin until they are on disk."),
        lines("Commits", "cps", [(f"sum(rate(bitquake_store_commit_seconds_count{RATE}))",
                                  "commits")],
              "Transactions of the writer, a second; one holds many requests."),
        lines("Call time, 99%", "s",
              [(quantile(0.99, 'bitquake_rpc_seconds_bucket{method!="LeaseJobs"}', "method"),
                "{{method}}")],
              "From a call to its answer; of StreamOutcomes, from a report to its commit."),
        lines("Calls", "reqps",
              [(f"sum by (method) (rate(bitquake_rpc_seconds_count{RATE}))", "{{method}}")],
              "Calls, and reports of outcomes, a second."),
        lines("Wait for a lease", "s",
              [(quantile(0.5, 'bitquake_rpc_seconds_bucket{method="LeaseJobs"}', ""), "median"),
               (quantile(0.99, 'bitquake_rpc_seconds_bucket{method="LeaseJobs"}', ""), "99%")],
              "Long while there is no work: workers wait for it in the call."),
        lines("Outcomes", "cps",
              [(f"sum by (result) (rate(bitquake_job_outcomes_total{RATE}))", "{{result}}")],
              "Jobs committed, failures reported, jobs set aside, a second."),
        lines("What should not happen", "short",
              [(f"sum(increase(bitquake_lease_expirations_total{RATE}))", "leases expired"),
               (f"sum(increase(bitquake_duplicate_outcomes_total{RATE}))", "outcomes again"),
               (f"sum(increase(bitquake_digest_mismatches_total{RATE}))", "digests that differ")],
              "Leases expire when workers die. An outcome that comes again is harmless; digests "
              "that differ mean that some worker computes wrongly or has other files."),
        lines("Jobs by state", "short",
              [(f"sum by (state) (bitquake_jobs{{{CAMPAIGN}}})", "{{state}}")],
              "Of the chosen campaigns.", stacked=True))


BOARDS = {"fleet": fleet, "campaign": campaign, "coordinator": coordinator}


def text(built):
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    for file, build in BOARDS.items():
        (HERE / "dashboards" / f"{file}.json").write_text(text(build()))
