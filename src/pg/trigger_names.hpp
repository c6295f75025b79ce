// Names of the triggers of replicated tables; the extension and the output plugin know a replicated table by them.
// sql/41_attach.sql attaches them.
#pragma once

namespace meridian::pg {

/// Row triggers fire in name order: the first must sort before every user trigger, the last behind.
inline constexpr char apply_trigger_name[] = "00_meridian_apply";
inline constexpr char stamp_trigger_name[] = "zz_meridian_stamp";
inline constexpr char delete_trigger_name[] = "zz_meridian_delete";

}  // namespace meridian::pg
