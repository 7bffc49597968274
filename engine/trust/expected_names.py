"""Names that a network's code is expected to use: the lists that `engine.trust.inspection` compares it with.

What is not here is not bad, but unexpected: a person who approves the code should look at it. Only what cannot reach
files, programs, the network or other code may be added. The lists were drawn from PyTorch 2.14, torchvision 0.29 and
NumPy 2, without what reads or writes files, compiles, or keeps state between calls.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TORCH = _words("""
    BoolTensor ByteTensor DoubleTensor FloatTensor Generator HalfTensor IntTensor LongTensor ShortTensor Size
    Tensor abs abs_ absolute acos acos_ acosh acosh_ adaptive_avg_pool1d adaptive_max_pool1d add addbmm addcdiv
    addcmul addmm addmv addmv_ addr adjoint affine_grid_generator alias_copy all allclose alpha_dropout
    alpha_dropout_ amax amin aminmax angle any arange arccos arccos_ arccosh arccosh_ arcsin arcsin_ arcsinh
    arcsinh_ arctan arctan2 arctan_ arctanh arctanh_ argmax argmin argsort argwhere as_strided as_strided_
    as_strided_copy as_strided_scatter as_tensor asarray asin asin_ asinh asinh_ atan atan2 atan_ atanh atanh_
    atleast_1d atleast_2d atleast_3d avg_pool1d baddbmm bartlett_window batch_norm bernoulli bfloat16 bilinear
    binary_cross_entropy_with_logits bincount binomial bitwise_and bitwise_left_shift bitwise_not bitwise_or
    bitwise_right_shift bitwise_xor blackman_window block_diag bmm bool broadcast_shapes broadcast_tensors
    broadcast_to bucketize can_cast cartesian_prod cat ccol_indices_copy cdist ceil ceil_ celu celu_
    chain_matmul channel_shuffle channels_last cholesky_inverse cholesky_solve choose_qparams_optimized chunk
    clamp clamp_ clamp_max clamp_max_ clamp_min clamp_min_ clip clip_ clone col_indices_copy column_stack
    combinations complex complex128 complex64 concat concatenate conj conj_physical conj_physical_
    constant_pad_nd contiguous_format conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d
    conv_transpose3d convolution copysign corrcoef cos cos_ cosh cosh_ cosine_embedding_loss cosine_similarity
    count_nonzero cov cross crow_indices_copy ctc_loss cummax cummin cumprod cumsum cumulative_trapezoid deg2rad
    deg2rad_ dequantize det detach detach_ detach_copy device diag diag_embed diagflat diagonal diagonal_copy
    diagonal_scatter diff digamma dist div divide dot double dropout dropout_ dsmm dsplit dstack dtype e einsum
    embedding embedding_bag embedding_renorm_ empty empty_like empty_permuted empty_quantized empty_strided
    enable_grad eq equal erf erf_ erfc erfc_ erfinv exp exp2 exp2_ exp_ expand_copy expm1 expm1_ eye
    feature_alpha_dropout feature_alpha_dropout_ feature_dropout feature_dropout_ fill fill_ finfo fix fix_
    flatten flip fliplr flipud float float16 float32 float64 float_power floor floor_ floor_divide fmax fmin
    fmod frac frac_ frexp frobenius_norm from_numpy frombuffer full full_like gather gcd gcd_ ge geqrf ger
    get_device gradient greater greater_equal grid_sampler grid_sampler_2d grid_sampler_3d group_norm gru
    gru_cell gt half hamming_window hann_window hardshrink hash_tensor heaviside hinge_embedding_loss histc
    histogram histogramdd hsmm hsplit hspmm hstack hypot i0 i0_ igamma igammac iinfo imag index_add index_copy
    index_fill index_put index_put_ index_reduce index_select indices_copy inf inference_mode inner
    instance_norm int int16 int32 int64 int8 int_repr inverse is_complex is_conj is_distributed
    is_floating_point is_grad_enabled is_inference is_neg is_nonzero is_same_size is_signed is_tensor
    is_vulkan_available isclose isfinite isin isinf isnan isneginf isposinf isreal istft kaiser_window kl_div
    kron kthvalue layer_norm layout lcm lcm_ ldexp ldexp_ le lerp less less_equal lgamma linspace lobpcg log
    log10 log10_ log1p log1p_ log2 log2_ log_ log_softmax logaddexp logaddexp2 logcumsumexp logdet logical_and
    logical_not logical_or logical_xor logit logit_ logspace logsumexp long lstm lstm_cell lt lu_solve lu_unpack
    margin_ranking_loss masked_fill masked_scatter masked_select matmul matrix_exp matrix_power max max_pool1d
    max_pool1d_with_indices max_pool2d max_pool3d maximum mean median memory_format meshgrid min minimum mm mode
    moveaxis movedim msort mul multinomial multiply mv mvlgamma nan nan_to_num nan_to_num_ nanmean nanmedian
    nanquantile nansum narrow narrow_copy native_batch_norm native_channel_shuffle native_dropout
    native_group_norm native_layer_norm native_norm ne neg neg_ negative negative_ nextafter no_grad nonzero
    nonzero_static norm norm_except_dim normal not_equal nuclear_norm numel ones ones_like orgqr ormqr outer
    pairwise_distance pca_lowrank pdist permute permute_copy pi pinverse pixel_shuffle pixel_unshuffle poisson
    poisson_nll_loss polar polygamma positive pow prelu preserve_format prod promote_types put
    q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point quantile
    quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic rad2deg rad2deg_ rand rand_like randint
    randint_like randn randn_like randperm range ravel real reciprocal reciprocal_ relu relu_ remainder renorm
    repeat_interleave reshape resize_as_ resize_as_sparse_ resolve_conj resolve_neg result_type rms_norm
    rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell roll rot90 round round_ row_indices_copy row_stack rrelu
    rrelu_ rsqrt rsqrt_ rsub saddmm scalar_tensor scatter scatter_add scatter_reduce searchsorted segment_reduce
    select select_copy select_scatter selu selu_ set_grad_enabled sgn short sigmoid sigmoid_ sign signbit sin
    sin_ sinc sinc_ sinh sinh_ slice_copy slice_inverse slice_scatter slogdet smm softmax sort split split_copy
    split_with_sizes split_with_sizes_copy spmm sqrt sqrt_ square square_ squeeze squeeze_copy sspaddmm stack
    std std_mean stft strided sub subtract sum svd svd_lowrank swapaxes swapdims sym_constrain_range
    sym_constrain_range_for_size sym_int sym_max sym_min t t_copy take take_along_dim tan tan_ tanh tanh_ tensor
    tensor_split tensordot threshold threshold_ tile topk trace transpose transpose_copy trapezoid trapz
    triangular_solve tril tril_indices triplet_margin_loss triu triu_indices true_divide trunc trunc_ uint8
    unbind unbind_copy unflatten unfold_copy unique unique_consecutive unique_dim unsafe_chunk unsafe_split
    unsafe_split_with_sizes unsqueeze unsqueeze_copy values_copy vander var var_mean vdot view_as_complex
    view_as_complex_copy view_as_real view_as_real_copy view_copy vsplit vstack where xlogy xlogy_ zero_ zeros
    zeros_like
    """)
"""Functions, types and constants of `torch` itself."""

_FUNCTIONAL = _words("""
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
    adaptive_max_pool1d_with_indices adaptive_max_pool2d adaptive_max_pool2d_with_indices adaptive_max_pool3d
    adaptive_max_pool3d_with_indices affine_grid alpha_dropout avg_pool1d avg_pool2d avg_pool3d batch_norm
    bilinear binary_cross_entropy binary_cross_entropy_with_logits celu celu_ channel_shuffle conv1d conv2d
    conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d cosine_embedding_loss cosine_similarity
    cross_entropy ctc_loss dropout dropout1d dropout2d dropout3d elu elu_ embedding embedding_bag
    feature_alpha_dropout fold fractional_max_pool2d fractional_max_pool2d_with_indices fractional_max_pool3d
    fractional_max_pool3d_with_indices gaussian_nll_loss gelu glu grid_sample group_norm grouped_mm
    gumbel_softmax hardshrink hardsigmoid hardswish hardtanh hardtanh_ hinge_embedding_loss huber_loss
    instance_norm interpolate kl_div l1_loss layer_norm leaky_relu leaky_relu_ linear linear_cross_entropy
    local_response_norm log_softmax logsigmoid lp_pool1d lp_pool2d lp_pool3d margin_ranking_loss max_pool1d
    max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool1d
    max_unpool2d max_unpool3d mish mse_loss multi_head_attention_forward multi_margin_loss
    multilabel_margin_loss multilabel_soft_margin_loss native_channel_shuffle nll_loss normalize one_hot pad
    pairwise_distance pdist pixel_shuffle pixel_unshuffle poisson_nll_loss prelu relu relu6 relu_ rms_norm rrelu
    rrelu_ scaled_dot_product_attention scaled_grouped_mm scaled_mm selu selu_ sigmoid silu smooth_l1_loss
    soft_margin_loss softmax softmin softplus softshrink softsign tanh tanhshrink threshold threshold_
    triplet_margin_loss triplet_margin_with_distance_loss unfold upsample upsample_bilinear upsample_nearest
    """)
"""Functions of `torch.nn.functional`."""

_LINALG = _words("""
    cholesky cholesky_ex cond cross det diagonal eig eigh eigvals eigvalsh householder_product inv inv_ex
    ldl_factor ldl_factor_ex ldl_solve lstsq lu lu_factor lu_factor_ex lu_solve matmul matrix_exp matrix_norm
    matrix_power matrix_rank matrix_sqrth multi_dot norm pinv polar qr slogdet solve solve_ex solve_triangular
    svd svdvals tensorinv tensorsolve vander vecdot vector_norm
    """)
"""Functions of `torch.linalg`."""

_FFT = _words("""
    fft fft2 fftfreq fftn fftshift hfft hfft2 hfftn ifft ifft2 ifftn ifftshift ihfft ihfft2 ihfftn irfft irfft2
    irfftn rfft rfft2 rfftfreq rfftn
    """)
"""Functions of `torch.fft`."""

_SPECIAL = _words("""
    airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t chebyshev_polynomial_u
    chebyshev_polynomial_v chebyshev_polynomial_w digamma entr erf erfc erfcx erfinv exp2 expit expm1 gammainc
    gammaincc gammaln hermite_polynomial_h hermite_polynomial_he i0 i0e i1 i1e laguerre_polynomial_l
    legendre_polynomial_p log1p log_ndtr log_softmax logit logsumexp modified_bessel_i0 modified_bessel_i1
    modified_bessel_k0 modified_bessel_k1 multigammaln ndtr ndtri polygamma psi round scaled_modified_bessel_k0
    scaled_modified_bessel_k1 shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u
    shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w sinc softmax spherical_bessel_j0 xlog1py xlogy
    zeta
    """)
"""Functions of `torch.special`."""

_INIT = _words("""
    calculate_gain constant_ dirac_ eye_ kaiming_normal_ kaiming_uniform_ normal_ ones_ orthogonal_ sparse_
    trunc_normal_ uniform_ xavier_normal_ xavier_uniform_ zeros_
    """)
"""Functions of `torch.nn.init`."""

_NUMPY = _words("""
    False_ ScalarType True_ abs absolute acos acosh add all allclose amax amin angle any append arange arccos
    arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argpartition argsort argwhere around array
    array_equal array_equiv array_repr array_split array_str asanyarray asarray asarray_chkfinite
    ascontiguousarray asfortranarray asin asinh asmatrix astype atan atan2 atanh atleast_1d atleast_2d
    atleast_3d average bartlett base_repr binary_repr bincount bitwise_and bitwise_count bitwise_invert
    bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor blackman block bmat bool bool_
    broadcast broadcast_arrays broadcast_shapes broadcast_to busday_count busday_offset busdaycalendar byte
    bytes_ c_ can_cast cbrt cdouble ceil character choose clip clongdouble column_stack common_type complex128
    complex256 complex64 complexfloating compress concat concatenate conj conjugate convolve copy copysign
    copyto corrcoef correlate cos cosh count_nonzero cov cross csingle cumprod cumsum cumulative_prod
    cumulative_sum datetime64 datetime_as_string datetime_data deg2rad degrees delete diag diag_indices
    diag_indices_from diagflat diagonal diff digitize divide divmod dot double dsplit dstack dtype e ediff1d
    einsum einsum_path empty empty_like equal errstate euler_gamma exp exp2 expand_dims expm1 extract eye fabs
    fill_diagonal finfo fix flatiter flatnonzero flexible flip fliplr flipud float128 float16 float32 float64
    float_power floating floor floor_divide fmax fmin fmod format_float_positional format_float_scientific frexp
    from_dlpack frombuffer full full_like gcd generic geomspace get_printoptions geterr geterrcall gradient
    greater greater_equal half hamming hanning heaviside histogram histogram2d histogram_bin_edges histogramdd
    hsplit hstack hypot i0 identity iinfo imag index_exp indices inexact inf inner insert int16 int32 int64 int8
    int_ intc integer interp intersect1d intp invert is_busday isclose iscomplex iscomplexobj isdtype isfinite
    isfortran isin isinf isnan isnat isneginf isposinf isreal isrealobj isscalar issubdtype iterable ix_ kaiser
    kron lcm ldexp left_shift less less_equal lexsort linspace little_endian log log10 log1p log2 logaddexp
    logaddexp2 logical_and logical_not logical_or logical_xor logspace long longdouble longlong mask_indices
    matmul matrix matrix_transpose matvec max maximum may_share_memory mean median meshgrid mgrid min
    min_scalar_type minimum mintypecode mod modf moveaxis multiply nan nan_to_num nanargmax nanargmin nancumprod
    nancumsum nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar ndarray
    ndenumerate ndim ndindex nditer negative nested_iters newaxis nextafter nonzero not_equal number object_
    ogrid ones ones_like outer packbits pad partition percentile permute_dims pi place poly poly1d polyadd
    polyder polydiv polyfit polyint polymul polysub polyval positive pow power printoptions prod promote_types
    ptp put put_along_axis putmask quantile r_ rad2deg radians ravel ravel_multi_index real real_if_close
    recarray reciprocal record remainder repeat require reshape resize result_type right_shift rint roll
    rollaxis roots rot90 round row_stack s_ sctypeDict searchsorted select setdiff1d setxor1d shape
    shares_memory short sign signbit signedinteger sin sinc single sinh size sort sort_complex spacing split
    sqrt square squeeze stack std str_ subtract sum swapaxes take take_along_axis tan tanh tensordot tile
    timedelta64 trace transpose trapezoid tri tril tril_indices tril_indices_from trim_zeros triu triu_indices
    triu_indices_from true_divide trunc typecodes typename ubyte ufunc uint uint16 uint32 uint64 uint8 uintc
    uintp ulong ulonglong union1d unique unique_all unique_counts unique_inverse unique_values unpackbits
    unravel_index unsignedinteger unstack unwrap ushort vander var vdot vecdot vecmat void vsplit vstack where
    zeros zeros_like
    """)
"""Functions, types and constants of `numpy`."""

_NETWORKS = _words("""
    alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161 densenet169
    densenet201 efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5
    efficientnet_b6 efficientnet_b7 efficientnet_v2_l efficientnet_v2_m efficientnet_v2_s googlenet inception_v3
    maxvit_t mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small
    regnet_x_16gf regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf regnet_x_8gf
    regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_400mf regnet_y_800mf
    regnet_y_8gf resnet101 resnet152 resnet18 resnet34 resnet50 resnext101_32x8d resnext101_64x4d
    resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 squeezenet1_0
    squeezenet1_1 swin_b swin_s swin_t swin_v2_b swin_v2_s swin_v2_t vgg11 vgg11_bn vgg13 vgg13_bn vgg16
    vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32 vit_h_14 vit_l_16 vit_l_32 wide_resnet101_2 wide_resnet50_2
    """)
"""Functions of `torchvision.models` that build a network."""

ATTRIBUTES = _words("""
    AuxLogits Conv2d_1a_3x3 H T T_destination abs abs_ absolute absolute_ acos acos_ acosh acosh_ add add_
    add_module add_note addbmm addbmm_ addcdiv addcdiv_ addcmul addcmul_ addmm addmm_ addmv addmv_ addr addr_
    adjoint affine all allclose amax amin aminmax angle any append appendleft apply arccos arccos_ arccosh
    arccosh_ arcsin arcsin_ arcsinh arcsinh_ arctan arctan2 arctan2_ arctan_ arctanh arctanh_ argmax argmin
    argpartition args argsort argwhere as_integer_ratio as_strided as_strided_ as_strided_scatter as_subclass
    asin asin_ asinh asinh_ astype atan atan2 atan2_ atan_ atanh atanh_ aux_logits avgpool backward baddbmm
    baddbmm_ base bernoulli bernoulli_ bfloat16 bias bincount bit_count bit_length bitwise_and bitwise_and_
    bitwise_left_shift bitwise_left_shift_ bitwise_not bitwise_not_ bitwise_or bitwise_or_ bitwise_right_shift
    bitwise_right_shift_ bitwise_xor bitwise_xor_ bmm bn1 bool broadcast_to buffers byte byteswap capitalize
    casefold cauchy_ ccol_indices cdouble ceil ceil_ center cfloat chalf char children cholesky cholesky_inverse
    cholesky_solve choose chunk clamp clamp_ clamp_max clamp_max_ clamp_min clamp_min_ classifier clear clip
    clip_ clone coalesce col_indices compress conj conj_physical conj_physical_ conjugate contiguous conv1 copy
    copy_ copysign copysign_ corrcoef cos cos_ cosh cosh_ count count_nonzero cov cpu cross crow_indices cuda
    cummax cummin cumprod cumprod_ cumsum cumsum_ data decode deg2rad deg2rad_ deleter denominator dense_dim
    dequantize det detach detach_ device diag diag_embed diagflat diagonal diagonal_scatter diff difference
    difference_update digamma digamma_ dilation dim dim_order discard dist div div_ divide divide_ dot double
    dsplit dtype eig element_size elements encode endswith eps eq eq_ equal erf erf_ erfc erfc_ erfinv erfinv_
    eval exp exp2 exp2_ exp_ expand expand_as expandtabs expm1 expm1_ exponential_ extend extendleft extra_repr
    fc fdel features fget fill fill_ fill_diagonal_ find fix fix_ flags flat flatten flip fliplr flipud float
    float_power float_power_ floor floor_ floor_divide floor_divide_ fmax fmin fmod fmod_ format forward frac
    frac_ frexp from_bytes fromkeys fset gather gcd gcd_ ge ge_ geometric_ geqrf ger get get_buffer get_device
    get_parameter get_submodule getter grad grad_dtype grad_fn greater greater_ greater_equal greater_equal_
    groups gt gt_ half hardshrink hash_tensor head heads heaviside heaviside_ hex histc histogram hsplit hypot
    hypot_ i0 i0_ igamma igamma_ igammac igammac_ imag in_channels in_features in_proj_bias in_proj_weight index
    index_add index_add_ index_copy index_copy_ index_fill index_fill_ index_put index_put_ index_reduce
    index_reduce_ index_select indices inner inplace insert int int_repr intersection intersection_update
    inverse ipu is_coalesced is_complex is_conj is_contiguous is_cpu is_cuda is_distributed is_floating_point
    is_inference is_integer is_ipu is_leaf is_maia is_meta is_mkldnn is_mps is_mtia is_neg is_nested is_nonzero
    is_pinned is_quantized is_same_size is_set_to is_signed is_sparse is_sparse_csr is_vulkan is_xla is_xpu
    isalnum isalpha isascii isclose isdecimal isdigit isdisjoint isfinite isidentifier isinf islower isnan
    isneginf isnumeric isposinf isprintable isreal isspace issubset issuperset istft istitle isupper item items
    itemsize join kernel_size keys kron kthvalue layer1 layer2 layer3 layer4 layout lcm lcm_ ldexp ldexp_ le le_
    lerp lerp_ less less_ less_equal less_equal_ lgamma lgamma_ ljust load_state_dict log log10 log10_ log1p
    log1p_ log2 log2_ log_ log_normal_ log_softmax logaddexp logaddexp2 logcumsumexp logdet logical_and
    logical_and_ logical_not logical_not_ logical_or logical_or_ logical_xor logical_xor_ logit logit_ logsumexp
    long lower lstrip lstsq lt lt_ lu lu_solve mH mT maketrans masked_fill masked_fill_ masked_scatter
    masked_scatter_ masked_select matmul matrix_exp matrix_power max maximum maxlen maxpool mean median min
    minimum mm mode modules momentum most_common move_to_end moveaxis movedim msort mtia mul mul_ multinomial
    multiply multiply_ mv mvlgamma mvlgamma_ name named_buffers named_children named_modules named_parameters
    nan_to_num nan_to_num_ nanmean nanmedian nanquantile nansum narrow narrow_copy nbytes ndim ndimension ne ne_
    neg neg_ negative negative_ nelement new new_empty new_empty_strided new_full new_ones new_tensor new_zeros
    nextafter nextafter_ nonzero nonzero_static norm normal_ normalized_shape not_equal not_equal_
    num_batches_tracked num_features numel numerator numpy orgqr ormqr out_channels out_features out_proj outer
    output_nr p padding parameters partition permute pin_memory pinverse polygamma polygamma_ pop popitem
    popleft positive pow pow_ prelu prod put put_ q_per_channel_axis q_per_channel_scales
    q_per_channel_zero_points q_scale q_zero_point qr qscheme quantile rad2deg rad2deg_ random_ ravel real
    reciprocal reciprocal_ register_buffer register_parameter reinforce relu relu_ remainder remainder_ remove
    removeprefix removesuffix renorm renorm_ repeat repeat_interleave replace requires_grad requires_grad_
    reshape reshape_as resize resize_ resize_as resize_as_ resize_as_sparse_ resolve_conj resolve_neg
    retain_grad retains_grad reverse rfind rindex rjust roll rot90 rotate round round_ row_indices rpartition
    rsplit rsqrt rsqrt_ rstrip running_mean running_var scatter scatter_ scatter_add scatter_add_ scatter_reduce
    scatter_reduce_ searchsorted select select_scatter set_submodule setdefault setter sgn sgn_ shape short
    sigmoid sigmoid_ sign sign_ signbit sin sin_ sinc sinc_ sinh sinh_ size slice_inverse slice_scatter slogdet
    smm softmax solve sort sparse_dim sparse_mask sparse_resize_ sparse_resize_and_clear_ split split_with_sizes
    splitlines sqrt sqrt_ square square_ squeeze squeeze_ sspaddmm start startswith state_dict std step stft
    stop storage_offset stride strides strip sub sub_ subtract subtract_ sum sum_to_size svd swapaxes swapaxes_
    swapcase swapdims swapdims_ symeig symmetric_difference symmetric_difference_update t t_ take take_along_dim
    tan tan_ tanh tanh_ tensor_split tile title to to_bytes to_dense to_device to_empty to_mkldnn
    to_padded_tensor to_sparse to_sparse_bsc to_sparse_bsr to_sparse_coo to_sparse_csc to_sparse_csr tolist topk
    total trace train training translate transpose transpose_ triangular_solve tril tril_ triu triu_ true_divide
    true_divide_ trunc trunc_ type type_as unbind unflatten unfold uniform_ union unique unique_consecutive
    unsafe_chunk unsafe_split unsafe_split_with_sizes unsqueeze unsqueeze_ update upper values var vdot view
    view_as volatile vsplit weight weight_g weight_v where xlogy xlogy_ xpu zero_ zero_grad zfill
    """)
"""Attributes of tensors, arrays, modules, numbers, text and containers."""

_LAYERS = _words("activation batchnorm conv dropout linear normalization padding pooling")
"""Parts of `torch.nn.modules`."""

_FAMILIES = _words(
    "alexnet convnext densenet efficientnet googlenet inception mnasnet mobilenet regnet resnet squeezenet vgg"
)
"""Parts of `torchvision.models`."""

_ANY_CLASS = frozenset({"<Class>"})
"""Stands for every name of more than one letter that begins with a capital, as only classes have."""

_NN = _words("functional init modules parameter utils") | _ANY_CLASS

NAMES: dict[str, frozenset[str]] = {
    "__future__": _words("annotations"),
    "abc": _words("ABC abstractmethod"),
    "collections": _words("ChainMap Counter OrderedDict abc defaultdict deque namedtuple"),
    "collections.abc": _words("""
        Callable Collection Container Generator Hashable Iterable Iterator Mapping MutableMapping MutableSequence
        Sequence Set Sized
        """),
    "copy": _words("copy deepcopy"),
    "dataclasses": _words("InitVar KW_ONLY MISSING asdict astuple dataclass field is_dataclass replace"),
    "enum": _words("Enum Flag IntEnum IntFlag StrEnum auto unique"),
    "functools": _words("cache cached_property lru_cache partial partialmethod reduce total_ordering wraps"),
    "itertools": _words("""
        accumulate chain combinations combinations_with_replacement compress count cycle dropwhile filterfalse groupby
        islice pairwise permutations product repeat starmap takewhile tee zip_longest
        """),
    "math": _words("""
        acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh degrees dist e erf erfc
        exp exp2 expm1 fabs factorial floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf
        isnan isqrt lcm ldexp lgamma log log10 log1p log2 modf nan nextafter perm pi pow prod radians
        remainder sin sinh sqrt tan tanh tau trunc ulp
        """),
    "numbers": _words("Complex Integral Number Rational Real"),
    "numpy": _NUMPY | _words("linalg random"),
    "numpy.linalg": _words("""
        cholesky cond cross det diagonal eig eigh eigvals eigvalsh inv lstsq matmul matrix_norm
        matrix_power matrix_rank matrix_transpose multi_dot norm outer pinv qr slogdet solve svd svdvals
        tensordot tensorinv tensorsolve trace vecdot vector_norm
        """),
    "numpy.random": _words("Generator RandomState default_rng"),
    "torch": _TORCH | _words("amp autograd backends cuda fft jit linalg nn special utils"),
    "torch.amp": _words("autocast custom_bwd custom_fwd"),
    "torch.autograd": _words("Function"),
    "torch.backends": frozenset(),
    "torch.cuda": _words("amp device_count is_available"),
    "torch.cuda.amp": _words("autocast custom_bwd custom_fwd"),
    "torch.fft": _FFT,
    "torch.jit": _words("export ignore is_scripting is_tracing unused"),
    "torch.linalg": _LINALG,
    "torch.nn": _NN,
    "torch.nn.functional": _FUNCTIONAL,
    "torch.nn.init": _INIT,
    "torch.nn.modules": _LAYERS | _ANY_CLASS,
    **{f"torch.nn.modules.{part}": _ANY_CLASS for part in _LAYERS},
    "torch.nn.parameter": _ANY_CLASS,
    "torch.nn.utils": _words("parametrizations remove_spectral_norm remove_weight_norm spectral_norm weight_norm"),
    "torch.nn.utils.parametrizations": _words("orthogonal spectral_norm weight_norm"),
    "torch.special": _SPECIAL,
    "torch.utils": _words("checkpoint"),
    "torch.utils.checkpoint": _words("checkpoint checkpoint_sequential"),
    "torchvision": _words("models ops"),
    "torchvision.models": _NETWORKS | _ANY_CLASS | _FAMILIES,
    **{f"torchvision.models.{part}": _NETWORKS | _ANY_CLASS for part in _FAMILIES},
    "torchvision.ops": _ANY_CLASS | _words("misc stochastic_depth"),
    "torchvision.ops.misc": _ANY_CLASS,
    "typing": _words("""
        Annotated Any Callable ClassVar Collection Concatenate Dict Final FrozenSet Generic Hashable
        Iterable Iterator List Literal Mapping MutableMapping NamedTuple NewType NoReturn Optional
        ParamSpec Protocol Self Sequence Set Sized SupportsFloat SupportsInt TYPE_CHECKING Tuple Type
        TypeAlias TypeVar TypeVarTuple TypedDict Union Unpack cast final no_type_check overload override
        """),
    "warnings": _words("warn"),
}
"""What is expected of each module, by its full name; a module that is not here is not expected at all."""

BUILTINS = _words("""
    ArithmeticError AssertionError AttributeError BaseException Ellipsis Exception False FloatingPointError IndexError
    KeyError LookupError None NotImplemented NotImplementedError OverflowError RuntimeError StopIteration True TypeError
    ValueError ZeroDivisionError __name__ __doc__ abs all any bool bytes callable classmethod complex dict divmod
    enumerate filter float format frozenset getattr hasattr hash id int isinstance issubclass iter len list map max min
    next object pow print property range repr reversed round set setattr slice sorted staticmethod str sum super tuple
    type zip DeprecationWarning FutureWarning RuntimeWarning UserWarning Warning
    """)
"""Built-in names that reach nothing; `getattr`, `hasattr` and `setattr` only with a name that stands in the code."""


USUAL_METHODS = _words("""
    __abs__ __add__ __bool__ __call__ __contains__ __enter__ __eq__ __exit__ __float__ __floordiv__ __format__ __ge__
    __getitem__ __gt__ __hash__ __iadd__ __imul__ __init__ __int__ __isub__ __iter__ __le__ __len__ __lt__ __matmul__
    __mod__ __mul__ __ne__ __neg__ __next__ __post_init__ __pow__ __radd__ __repr__ __reversed__ __rmatmul__ __rmul__
    __rsub__ __rtruediv__ __setitem__ __str__ __sub__ __truediv__
    """)
"""Methods with two underscores at both ends that a class may well define."""


def is_expected(module: str, name: str) -> bool:
    """Whether a network's code may be expected to use `name` of a module."""
    names = NAMES.get(module, frozenset())
    # A class can be told by its capital: the one module with a capital is `F`, torch.nn.functional within others.
    return name in names or ("<Class>" in names and name[:1].isupper() and len(name) > 1)


def is_network(full: str) -> bool:
    """Whether something, by its full name, is a function of torchvision that builds a network."""
    module, _, name = full.rpartition(".")
    return name in _NETWORKS and (module == "torchvision.models" or module.startswith("torchvision.models."))
