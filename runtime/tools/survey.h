// Scores of gate predictors, and the output errors that they stand for, token by token.
#ifndef GSIC_TOOLS_SURVEY_H
#define GSIC_TOOLS_SURVEY_H

#include <cstddef>
#include <vector>

namespace gsic {

/// Matrices of a survey are f32, row by row. X [tokens, d] are inputs of a linear.
using SurveyMatrix = std::vector<float>;

/// For every k of `ks`, ascending, with V_k the first k columns of V and r_k = x - V_k V_k^T x: what is left of the
/// input, and what the output lacks without it. `basis` is V^T, orthonormal rows, at least the last of `ks`; `weights`
/// is W [out, d]. Three arrays: ||x||^2 [tokens], rho = ||r_k|| / ||x|| [ks, tokens], 0 for x = 0, and
/// ||W r_k||^2 [ks, tokens]. The residual is computed in double, and W r_k in float with sums of squares in double.
std::vector<SurveyMatrix> subspace_survey(const SurveyMatrix &inputs, const SurveyMatrix &basis,
                                          const SurveyMatrix &weights, size_t d, const std::vector<size_t> &ks);

/// ||D x||^2, ||S x||^2 and ||x||^2, [tokens] each, with the error D [out, d] of a path and projections S [p, d] of it.
/// Products are computed in float, sums of squares in double.
std::vector<SurveyMatrix> tier_survey(const SurveyMatrix &inputs, const SurveyMatrix &error,
                                      const SurveyMatrix &projections, size_t d);

}  // namespace gsic

#endif
