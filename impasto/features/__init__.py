"""Operations on feature maps that several losses share."""
