//! One suite of behaviours that every adapter of the ports is held to. An adapter's tests are one line: [`store_suite!`].
//!
//! Each case begins with a positive control, looks at rows as well as at answers, and leaves the bystander account as it was.

// OK because this crate is nothing but tests, and the name of a case says what it does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod backend;
mod faults;
mod harness;

pub mod accounts;
pub mod certificates;
pub mod companions;
pub mod compartments;
pub mod concurrency;
pub mod control;
pub mod damage;
pub mod erasure;
pub mod exports;
pub mod failures;
pub mod guards;
pub mod holds;
pub mod imports;
pub mod listed;
pub mod model;
pub mod moving_faults;
pub mod previews;
pub mod residences;
pub mod resources;
pub mod restarts;
pub mod search_pages;
pub mod searches;
pub mod targets;

pub use backend::{Backend, TestClock};
pub use faults::{Fault, FaultyStore, Planting};
pub use harness::{Harness, add_user};

/// Makes a test of every case for one [`Backend`]; or, while an adapter is being written, of the cases in the modules that it names.
#[macro_export]
macro_rules! store_suite {
    ($backend:ty) => {
        $crate::store_suite! { @of_all (@cases $backend) }
    };
    ($backend:ty; $($module:ident),+) => {
        $crate::store_suite! { @of_all (@cases_of [$($module)+] ($) $backend) }
    };
    (@of_all ($($what:tt)*)) => {
        $crate::store_suite! { $($what)*;
            accounts: clients_are_kept_switched_and_given_another_secret;
            accounts: a_user_is_added_once_even_by_many_at_once;
            accounts: users_are_listed_in_pages_and_only_to_their_client;
            accounts: a_user_is_switched_by_its_own_client_and_loses_codes_and_tokens_for_good;
            accounts: a_code_serves_once_in_time_and_its_own_client;
            accounts: a_code_that_is_presented_again_takes_back_what_it_bought;
            accounts: an_access_token_is_valid_only_while_all_it_stands_on_is;
            accounts: a_refresh_token_serves_once_and_its_reuse_revokes_the_family;
            accounts: many_uses_of_a_refresh_token_at_once_leave_nothing_valid;
            accounts: what_has_expired_goes_when_its_account_gets_something_new;
            resources: create_read_update_delete_and_their_versions;
            resources: expectations_that_do_not_hold_change_nothing;
            resources: a_list_of_writes_is_all_or_nothing;
            resources: time_never_goes_backwards_within_an_account;
            resources: listings_page_without_shifting_while_others_write;
            resources: histories_are_newest_first_and_page;
            resources: a_history_tells_what_was_current_at_a_time;
            resources: a_history_ends_where_its_bytes_do;
            resources: accounts_do_not_see_each_other;
            searches: a_resource_is_found_by_what_its_current_version_says;
            search_pages: a_page_neither_shifts_nor_repeats_while_others_write;
            search_pages: sorted_pages_go_by_their_keys_and_what_has_none_comes_last;
            searches: chains_lead_through_references_both_ways;
            searches: the_time_of_a_version_is_compared_to_the_millisecond;
            searches: a_chain_looks_into_what_is_contained;
            searches: many_and_few_are_found_through_others_alike;
            searches: nobody_finds_what_is_anothers;
            searches: counts_agree_with_pages;
            guards: a_guard_holds_until_what_it_saw_changes;
            guards: a_guard_is_looked_at_when_its_turn_comes;
            guards: of_many_conditional_creates_at_once_one_stores;
            searches: what_a_batch_has_removed_is_found_no_more;
            searches: any_two_criteria_find_what_each_resource_says_by_itself;
            searches: words_are_found_in_what_a_resource_says;
            search_pages: a_place_behind_everything_gives_an_empty_page;
            searches: a_thousand_alternatives_are_as_good_as_one;
            search_pages: pages_over_all_accounts_end_where_their_bytes_do;
            search_pages: a_page_ends_where_its_bytes_do;
            targets: a_purge_removes_every_version_and_nothing_of_the_bystander;
            targets: types_and_date_select;
            targets: the_cut_off_is_strict;
            targets: deleted_resources_keep_their_history_unless_included;
            targets: what_changes_after_kick_off_is_spared_and_counted;
            targets: what_changes_while_the_plan_is_made_is_spared_and_counted;
            targets: ids_can_be_used_again;
            targets: a_client_purge_covers_all_its_users_and_no_other_client;
            targets: an_empty_account_is_purged_successfully;
            companions: provenance_goes_with_its_last_target;
            companions: provenance_with_a_foreign_target_stays;
            companions: a_target_that_is_spared_keeps_its_provenance;
            companions: binary_goes_when_nothing_that_remains_refers_to_it;
            companions: an_earlier_version_of_what_remains_keeps_a_binary;
            companions: a_reference_written_after_kick_off_keeps_a_binary;
            companions: provenance_and_binary_that_depend_on_each_other_go_together;
            companions: companions_never_go_past_the_watermark;
            companions: a_large_provenance_goes_with_its_thousands_of_targets;
            listed: conditions_decide_what_of_a_type_goes;
            listed: a_list_holds_what_was_current_at_the_watermark;
            listed: a_list_is_made_in_many_steps_and_comes_out_the_same;
            listed: a_small_list_takes_its_index_rows_with_it;
            listed: what_a_list_leaves_keeps_its_companions;
            listed: a_hold_keeps_what_is_on_a_list_before_the_plan_and_after_it;
            compartments: a_compartment_goes_and_what_is_in_none_stays;
            compartments: what_was_deleted_goes_by_what_it_last_said;
            compartments: the_members_of_a_group_go_as_they_were_at_the_watermark;
            compartments: members_that_are_no_patients_here_are_told;
            listed: a_preview_says_what_the_purge_of_a_list_then_does;
            listed: a_digest_tells_lists_apart;
            listed: what_a_purge_was_asked_for_is_forgotten_with_its_plan_and_with_every_end;
            listed: a_question_that_is_lost_widens_nothing;
            damage: a_damaged_body_that_decides_fails_the_plan_and_a_retry_works_after_the_cure;
            damage: a_damaged_body_that_a_hold_asks_for_fails_its_batch_and_a_retry_works_after_the_cure;
            damage: a_failed_purge_keeps_what_it_was_asked_for_only_as_long_as_it_says;
            listed: evidence_names_the_level_and_the_types_and_nobody;
            holds: a_hold_keeps_what_it_names_and_the_job_says_so;
            holds: what_is_written_into_a_compartment_later_is_kept_too;
            holds: a_hold_that_is_set_while_a_job_runs_keeps_what_is_not_removed_yet;
            holds: a_hold_that_is_lifted_while_a_job_runs_lets_nothing_go_that_it_kept;
            holds: after_a_hold_is_set_nothing_that_it_keeps_is_removed;
            holds: an_expired_hold_keeps_nothing_and_what_it_named_is_forgotten;
            holds: deleted_resources_are_kept_by_what_they_last_said;
            holds: companions_obey_holds;
            holds: a_hold_on_a_companion_that_is_set_late_keeps_it_and_what_it_needs;
            holds: a_retry_keeps_what_is_on_hold;
            holds: an_account_on_hold_is_left_whole_beside_others;
            holds: holds_are_listed_lifted_once_and_only_by_their_client;
            previews: a_preview_says_what_the_purge_then_does;
            previews: a_preview_says_what_stays_and_stores_nothing;
            previews: a_kick_off_starts_only_if_the_same_would_go;
            previews: a_digest_tells_which_of_two_that_are_alike_would_go;
            previews: a_kick_off_that_was_promised_starts_nothing_else_while_others_write;
            previews: a_preview_of_a_client_is_of_all_its_accounts;
            control: one_job_at_a_time_per_account_and_per_client;
            control: many_kick_offs_at_once_start_one_job;
            control: another_owner_sees_nothing;
            control: cancel_stops_within_one_batch_and_deletes_nothing_afterwards;
            control: cancel_breaks_a_plan_off;
            control: a_job_that_has_not_begun_is_canceled_at_once;
            control: cancel_and_retry_are_refused_in_every_other_state;
            control: jobs_are_listed_newest_first;
            failures: a_batch_that_fails_once_is_tried_again;
            failures: a_failed_batch_leaves_the_rest_running_and_retry_runs_exactly_it;
            failures: a_batch_backs_off_by_the_clock_while_others_run;
            failures: a_batch_that_ends_the_process_again_and_again_fails;
            failures: a_failure_that_cannot_be_recorded_is_recorded_later;
            failures: companions_wait_for_failed_targets;
            failures: retry_keeps_the_first_watermark;
            moving_faults: a_fault_at_any_call_leaves_a_job_that_can_be_finished;
            moving_faults: a_fault_at_any_call_leaves_a_job_with_a_list_that_can_be_finished;
            moving_faults: a_fault_at_any_call_of_a_cancel_leaves_the_rest_whole;
            moving_faults: a_fault_at_any_call_of_a_retry_leaves_a_job_that_can_be_retried;
            restarts: a_job_goes_on_after_a_restart_at_any_step;
            restarts: a_job_with_a_list_goes_on_after_a_restart_at_any_step;
            restarts: a_server_that_stops_leaves_a_long_step_to_the_next;
            restarts: a_worker_that_lost_its_lease_changes_nothing;
            restarts: running_a_batch_twice_removes_and_counts_once;
            residences: the_list_names_every_table;
            residences: every_residence_is_empty_after_a_purge;
            residences: a_leftover_in_any_residence_fails_the_job;
            residences: a_check_finds_what_is_wrong;
            certificates: the_certificate_says_what_happened;
            certificates: certificates_are_one_chain_seen_by_their_owners;
            certificates: each_end_of_a_job_has_its_certificate;
            certificates: every_deleted_id_is_proven_and_no_other;
            certificates: a_proof_of_a_client_wide_purge_names_the_account;
            certificates: with_its_key_goes_every_proof_and_the_certificate_stays;
            certificates: a_job_that_cannot_be_certified_does_not_end;
            certificates: the_audit_trail_tells_what_was_asked_and_what_came_of_it;
            concurrency: writers_cannot_slip_under_the_watermark;
            concurrency: writers_at_full_speed_agree_with_the_model;
            model: random_histories_and_purges_agree_with_the_model;
            erasure: no_planted_string_is_left_in_the_files;
            erasure: a_partial_purge_leaves_no_planted_string_either;
            exports: a_snapshot_is_exact_while_writers_change_things;
            exports: a_server_that_stops_leaves_a_long_export_to_the_next;
            exports: types_and_since_select_and_deletions_are_told;
            exports: an_export_goes_on_after_a_restart_at_any_step;
            exports: a_step_that_fails_is_run_again_and_plans_nothing_twice;
            exports: a_removed_export_is_gone_and_its_worker_writes_nothing;
            exports: an_export_expires_a_day_after_its_end;
            exports: one_export_at_a_time_and_not_more_than_are_kept;
            exports: exports_are_seen_by_their_account_and_its_client_alone;
            exports: a_purge_leaves_nothing_that_the_links_could_show;
            exports: conditions_are_decided_on_what_was_current_at_the_watermark;
            exports: patients_and_groups_export_compartments;
            exports: a_purge_removes_exports_that_name_what_it_may_have_removed;
            imports: a_batch_is_stored_and_counted_together;
            imports: one_import_at_a_time_per_account;
            imports: a_canceled_import_stores_no_further_batch;
            imports: an_import_fails_when_the_server_ends_and_says_after_which_line;
        }
    };
    (@cases_of [$($wanted:ident)+] ($dollar:tt) $backend:ty; $($module:ident: $case:ident;)*) => {
        macro_rules! case_if_wanted {
            $(($wanted $dollar case:ident) => { $crate::store_suite! { @cases $backend; $wanted: $dollar case; } };)+
            ($dollar other:ident $dollar case:ident) => {};
        }
        $(case_if_wanted! { $module $case })*
    };
    (@cases $backend:ty; $($module:ident: $case:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::$module::$case($crate::Harness::<$backend>::open().await).await;
            }
        )*
    };
}
