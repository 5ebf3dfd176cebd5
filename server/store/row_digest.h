// row_digest(a, b, ...): an SQL function of a row's values, by which the store knows a row that was
// changed behind its back. The schema's triggers store it beside what was measured; --check
// computes it again. An integrity check of SQLite's sees the structure of a file, and not its
// numbers.
#pragma once

struct sqlite3;

namespace bitquake {

// A table whose rows carry the digest of what never changes in them, in the column row_digest.
struct DigestedTable {
  const char* name;
  const char* key;          // columns
  const char* columns;      // the key's and the digested ones
  const char* of_campaign;  // condition of the rows that results of campaign ?1 are made of
  const char* of_trial;     // of those that the trial in `it` (campaign, cell, trial) is made of
};

// Conditions of DigestedTable::of_campaign.
inline constexpr char kOfItsVariants[] = "variant IN (SELECT id FROM variants WHERE campaign = ?1)";
inline constexpr char kOfItsCells[] =
    "cell IN (SELECT c.id FROM variants v JOIN cells c ON c.variant = v.id WHERE v.campaign = ?1)";
inline constexpr char kOfItsOutcomes[] =
    "job IN (SELECT o.job FROM variants v JOIN cells c ON c.variant = v.id JOIN outcomes o ON "
    "o.cell = c.id WHERE v.campaign = ?1)";

inline constexpr char kOfItsCampaign[] = "campaign = ?1";
inline constexpr char kOfVariantOfCell[] =
    "variant = (SELECT variant FROM cells WHERE id = (SELECT cell FROM it))";
inline constexpr char kOfTrial[] = "(cell, trial) = (SELECT cell, trial FROM it)";
inline constexpr char kOfOutcomesOfTrial[] =
    "job IN (SELECT job FROM outcomes WHERE (cell, trial) = (SELECT cell, trial FROM it))";

// What campaigns and numbers are made of. What else the store counts follows from these.
inline constexpr DigestedTable kDigestedTables[] = {
    {"campaigns", "id", "id, resolved", "id = ?1", "id = ?1"},
    {"models", "campaign, model", "campaign, model, digest, config, tensors, chunk", kOfItsCampaign,
     kOfItsCampaign},
    {"cells", "id",
     "id, variant, position, fault, granularity, granularity_index, target, bits, ber",
     kOfItsVariants, "id = (SELECT cell FROM it)"},
    {"goldens", "variant, fold",
     "variant, fold, job, images, top1, top5, digest, worker, device_kind, predictions, seconds",
     kOfItsVariants, kOfVariantOfCell},
    {"outcomes", "job",
     "job, cell, trial, fold, images, top1, top5, golden_top1, golden_top5, sdc, right_to_wrong, "
     "wrong_to_right, due, inferences, digest, worker, device_kind, seconds",
     kOfItsCells, kOfTrial},
    {"trials", "cell, trial", "cell, trial, flips, flips_per_bit, faults_digest", kOfItsCells,
     kOfTrial},
    {"fold_images", "campaign, fold", "campaign, fold, images, labels", kOfItsCampaign,
     kOfItsCampaign},
    {"outcome_images", "job", "job, correct, same", kOfItsOutcomes, kOfOutcomesOfTrial},
    {"golden_attention", "variant, fold", "variant, fold, heads, sums", kOfItsVariants,
     kOfVariantOfCell},
    {"outcome_attention", "job", "job, heads, sums", kOfItsOutcomes, kOfOutcomesOfTrial},
};

// Adds the function to a connection: an INTEGER, the first 64 bits of an XXH3-128 over types,
// lengths and bytes. Returns SQLite's code.
int AddRowDigest(sqlite3* handle);

}  // namespace bitquake
